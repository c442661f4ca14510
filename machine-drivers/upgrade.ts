/** `machine upgrade`: the host's own update agent, asked to install what its server offers now; then the wait for it. */
import {ExecError, exec} from '../services/common/exec.ts';
import type {ProgressStep} from '../services/common/progress.ts';
import {accessOf, sshTarget} from './access.ts';
import {MachineError} from './errors.ts';
import {expectFinished, expectState, withMachine} from './lifecycle.ts';
import type {MachineDeps} from './machine.ts';
import {sshArguments} from './ssh/connection.ts';

const APPLY_TIMEOUT_MS = 3_600_000;
const STATUS_TIMEOUT_MS = 60_000;
const PAUSE_MS = 5000;
/** ssh's exit code when the connection ends, as it does when the machine reboots. */
const CONNECTION_LOST = 255;

export interface Upgraded {
  readonly from: string;
  readonly to: string;
}

export interface HostStatus {
  readonly version: string;
  readonly proven: boolean;
  readonly phase: string;
  readonly waitsFor?: string;
  readonly failed: readonly string[];
}

/** Throws `driver-failed` when the release did not prove itself, or not within `seconds`. */
export async function upgradeMachine(
  deps: MachineDeps,
  name: string,
  seconds: number,
  step: ProgressStep,
): Promise<Upgraded> {
  return withMachine(deps, name, async held => {
    expectFinished(held);
    await expectState(held, ['Running'], 'not-running');
    const {driver, record, machine} = await accessOf(deps, held.driver, held.stored, seconds);
    const ssh = sshArguments(sshTarget(driver, record, machine), {proven: true, batch: true});
    const call = (words: readonly string[], timeoutMs: number) =>
      exec([...ssh, '--', 'sudo', ...words], {timeoutMs, signal: deps.signal});
    const status = async () => parseStatus((await call(['hawserctl', 'status'], STATUS_TIMEOUT_MS)).stdout);
    const before = await status().catch(error => {
      throw noAgent(name, error);
    });
    step.update(`runs ${before.version}`);
    try {
      await call(['hawserctl', 'apply'], APPLY_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof ExecError) || error.result.code !== CONNECTION_LOST) throw error;
    }
    const deadline = deps.runtime.clock.now().getTime() + seconds * 1000;
    for (;;) {
      const now = await status().catch(() => undefined);
      if (now !== undefined) {
        step.update([now.phase, now.waitsFor].filter(part => part !== undefined).join(', waits for '));
        const news = now.failed.filter(line => !before.failed.includes(line));
        if (news.length > 0)
          throw new MachineError('driver-failed', `"${name}" fell back: ${news.join('; ')}`, {
            remedy: `hawser machine ssh ${name} sudo hawserctl history`,
          });
        if (now.phase === 'idle' && now.proven) return {from: before.version, to: now.version};
      }
      if (deps.runtime.clock.now().getTime() >= deadline)
        throw new MachineError('driver-failed', `"${name}" was not upgraded within ${seconds} s`, {
          remedy: `see hawser machine ssh ${name} sudo hawserctl status, and wait with --timeout`,
        });
      await deps.runtime.clock.sleep(PAUSE_MS, deps.signal);
    }
  });
}

/** Reads what `hawserctl status` prints. Throws when there is no version in it. */
export function parseStatus(text: string): HostStatus {
  const fields = text.split('\n').map(line => /^(\S+(?: hash| for)?)\s+(.*)$/.exec(line) ?? []);
  const find = (name: string) => fields.find(([, key]) => key === name)?.[2];
  const [, version, rest = ''] = /^(\S+) \(slot \S+?(, not proven yet)?\)$/.exec(find('version') ?? '') ?? [];
  if (version === undefined) throw new MachineError('driver-failed', 'hawserctl status shows no version');
  const waitsFor = find('waits for');
  return {
    version,
    proven: rest === '',
    phase: find('phase') ?? 'unknown',
    ...(waitsFor === undefined ? {} : {waitsFor}),
    failed: fields.flatMap(([, key, value]) => (key === 'failed' && value !== undefined ? [value] : [])),
  };
}

function noAgent(name: string, cause: unknown): MachineError {
  return new MachineError('bad-setting', `"${name}" is not updated by a server`, {
    remedy: 'create machines with --update-server, then offer a release on their channel',
    cause,
  });
}
