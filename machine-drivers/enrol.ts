/**
 * Enrolment over SSH (DESIGN.md, D13): the request is fetched over a connection whose host key is not proven yet;
 * the request's MAC, keyed with the token that only this machine got, covers that host key and so proves it. From
 * then on the key is checked strictly.
 */
import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {EnrolmentGrant} from '../services/common/contracts/enrolment.ts';
import type {EnrolmentConfig} from '../services/common/contracts/enrolment.ts';
import {systemErrorCode} from '../services/common/errors.ts';
import {ExecError, exec} from '../services/common/exec.ts';
import {writeFileAtomic} from '../services/common/fs-atomic.ts';
import {parseJson} from '../services/common/parse.ts';
import {MachineError} from './errors.ts';
import type {Enrolment} from './ports.ts';
import {writeFileLines} from './ssh/root-script.ts';
import {knownHostsFile, recordedHostKey, sshArguments, unverifiedHostsFile} from './ssh/connection.ts';
import type {SshTarget} from './ssh/connection.ts';
import {attempt} from './ssh/wait.ts';
import type {Patience} from './ssh/wait.ts';

const PROGRAM = '/usr/lib/hawser/hawser-enrol';
const CALL_TIMEOUT_MS = 180_000;

export interface EnrolWish {
  readonly target: SshTarget;
  readonly enrolment: Enrolment;
  /** Names and addresses by which clients may call the machine. */
  readonly extraNames: readonly string[];
  readonly patience: Patience;
  /** The machine's host key where it is proven already. */
  readonly hostKey?: string;
}

/** What tells a running machine to make a request: root's shell script, for standard input. */
export function enrolmentScript(config: EnrolmentConfig): string {
  return [
    'set -eu',
    ...writeFileLines('/etc/hawser/enrolment.json', 0o600, JSON.stringify(config)),
    `${PROGRAM} request`,
    '',
  ].join('\n');
}

/**
 * Leaves `grant.json` and a proven `known_hosts` in the machine's folder, and the certificate on the machine. Safe
 * to repeat from any point: the grant is kept before it is sent.
 */
export async function enrolOverSsh(wish: EnrolWish): Promise<void> {
  const {target, patience} = wish;
  const grantPath = join(target.folder, 'grant.json');
  const grant = (await readGrant(grantPath)) ?? (await obtainGrant(wish, grantPath));
  await untilItWorks(patience, 'the machine did not take its certificate', () =>
    exec([...sshArguments(target, {proven: true, batch: true}), 'sudo', PROGRAM, 'accept'], {
      timeoutMs: CALL_TIMEOUT_MS,
      signal: patience.signal,
      input: `${JSON.stringify(grant)}\n`,
    }),
  );
}

async function obtainGrant(wish: EnrolWish, grantPath: string): Promise<EnrolmentGrant> {
  const {target, patience} = wish;
  const shown = await untilItWorks(patience, 'the machine has no enrolment request', () =>
    exec(
      [...sshArguments(target, {proven: wish.hostKey !== undefined, batch: true}), 'sudo', PROGRAM, 'show'],
      {
        timeoutMs: CALL_TIMEOUT_MS,
        signal: patience.signal,
      },
    ),
  );
  const hostKeySeen = wish.hostKey ?? (await hostKeyOf(target));
  if (hostKeySeen === undefined) {
    throw new MachineError('driver-failed', 'ssh recorded no host key for the machine');
  }
  const grant = await wish.enrolment.accept(
    shown.stdout,
    {machine: target.hostKeyAlias, hostKeySeen},
    wish.extraNames,
  );
  await writeFileAtomic(join(target.folder, knownHostsFile), `${target.hostKeyAlias} ${hostKeySeen}\n`);
  await writeFileAtomic(grantPath, `${JSON.stringify(grant)}\n`);
  await rm(join(target.folder, unverifiedHostsFile), {force: true});
  return grant;
}

async function hostKeyOf(target: SshTarget): Promise<string | undefined> {
  const knownHosts = await readFile(join(target.folder, unverifiedHostsFile), 'utf8');
  return recordedHostKey(knownHosts, target.hostKeyAlias);
}

async function readGrant(path: string): Promise<EnrolmentGrant | undefined> {
  try {
    return parseJson(EnrolmentGrant, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Retries a remote call that fails: the unit that prepares the request may not have run yet. */
async function untilItWorks<Result>(
  patience: Patience,
  what: string,
  call: () => Promise<Result>,
): Promise<Result> {
  let last: unknown;
  const results: Result[] = [];
  await attempt(
    patience,
    async () => {
      try {
        results.push(await call());
        return true;
      } catch (error) {
        if (!(error instanceof ExecError) || error.code === 'not-found') throw error;
        last = error;
        return false;
      }
    },
    () =>
      new MachineError(
        'driver-failed',
        `${what} within ${patience.seconds} s: ${last instanceof Error ? last.message : ''}`,
        {cause: last},
      ),
  );
  const [result] = results;
  if (result === undefined) throw new MachineError('driver-failed', what);
  return result;
}
