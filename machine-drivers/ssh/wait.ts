/** Waits until a machine answers by SSH: first its banner, then a login. */
import {connect} from 'node:net';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../../services/common/clock.ts';
import {ExecError, exec} from '../../services/common/exec.ts';
import type {Address} from '../driver.ts';
import {MachineError, stopIfInterrupted} from '../errors.ts';
import {sshArguments, unverifiedHostsFile} from './connection.ts';
import type {SshTarget} from './connection.ts';

const BANNER_TIMEOUT_MS = 20_000;
const PAUSE_MS = 1000;
/** Even the last try gets this long. */
const MIN_TRY_MS = 500;
const LOGIN_TIMEOUT_MS = 120_000;

export interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly seconds: number;
  /** Asked before each further attempt: throws when waiting has become pointless (the machine is gone). */
  readonly stillWorthIt: () => Promise<void>;
}

/** Resolves once `user` can log in. Throws `ssh-silent` with the last reason when the time is up. */
export async function waitForLogin(target: SshTarget, proven: boolean, patience: Patience): Promise<void> {
  let reason = '';
  await attempt(
    patience,
    async leftMs => {
      const banner = await readBanner(target.address, Math.min(BANNER_TIMEOUT_MS, leftMs), patience.signal);
      if (!banner.startsWith('SSH-')) {
        reason = banner === '' ? 'no SSH banner yet' : 'the port does not speak SSH';
        return false;
      }
      // A first boot that was cut short may have come back with another host key.
      if (!proven) await rm(join(target.folder, unverifiedHostsFile), {force: true});
      try {
        await exec([...sshArguments(target, {proven, batch: true}), 'true'], {
          timeoutMs: Math.min(LOGIN_TIMEOUT_MS, leftMs),
          signal: patience.signal,
        });
        return true;
      } catch (error) {
        if (!(error instanceof ExecError) || error.code === 'not-found') throw error;
        reason = error.message;
        return false;
      }
    },
    () =>
      new MachineError(
        'ssh-silent',
        `no SSH login on ${target.address.host}:${target.address.port} within ${patience.seconds} s (${reason})`,
      ),
  );
}

/** Calls `work` (with the milliseconds that are left) until it returns true; throws what `late` makes when the time is up, `interrupted` after ^C. */
export async function attempt(
  patience: Patience,
  work: (leftMs: number) => Promise<boolean>,
  late: () => Error,
): Promise<void> {
  const {clock, signal} = patience;
  const deadline = clock.now().getTime() + patience.seconds * 1000;
  for (;;) {
    stopIfInterrupted(signal);
    if (await work(Math.max(MIN_TRY_MS, deadline - clock.now().getTime()))) return;
    stopIfInterrupted(signal);
    await patience.stillWorthIt();
    if (clock.now().getTime() >= deadline) throw late();
    await clock.sleep(PAUSE_MS, signal).catch(() => stopIfInterrupted(signal));
  }
}

/**
 * The first line that a server sends, or what came of it until `timeoutMs`, the end, or ^C. A port forward accepts the
 * connection long before the guest listens, so an open port proves nothing.
 */
export function readBanner(address: Address, timeoutMs: number, signal: AbortSignal): Promise<string> {
  return new Promise(resolve => {
    let text = '';
    const socket = connect({host: address.host, port: address.port});
    const finish = () => {
      signal.removeEventListener('abort', finish);
      socket.destroy();
      resolve(text.split('\n')[0]?.trim() ?? '');
    };
    signal.addEventListener('abort', finish);
    socket.setTimeout(timeoutMs, finish);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n') || text.length > 512) finish();
    });
    socket.on('error', finish);
    socket.on('close', finish);
  });
}
