/** Calls of VBoxManage, with its known oddities dealt with in one place. */
import {ExecError, exec} from '../../../services/common/exec.ts';
import type {Clock} from '../../../services/common/clock.ts';
import {MachineError} from '../../errors.ts';

export type VboxManage = (...words: readonly string[]) => Promise<string>;

const CALL_TIMEOUT_MS = 120_000;
const TRIES = 6;
const FIRST_PAUSE_MS = 100;
/** What passes by itself: VBoxSVC is starting, or another process has the machine open for a moment. */
const PASSING =
  /object is not ready|The object functionality is limited|is already locked (?:for|by) a session|is being locked/i;

/** A call that VirtualBox refused; the message is its own. */
export class VboxRefusal extends Error {}

export function vboxManage(
  program: string,
  host: {readonly clock: Clock; readonly signal: AbortSignal},
  timeoutMs = CALL_TIMEOUT_MS,
): VboxManage {
  return async (...words) => {
    for (let tryNumber = 1; ; tryNumber++) {
      try {
        return await callOnce([program, ...words], timeoutMs, host.signal);
      } catch (error) {
        if (!(error instanceof VboxRefusal) || !PASSING.test(error.message) || tryNumber === TRIES)
          throw error;
        await host.clock.sleep(FIRST_PAUSE_MS * 2 ** (tryNumber - 1), host.signal);
      }
    }
  };
}

async function callOnce(argv: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<string> {
  try {
    // Its texts are read: they must not be translated.
    const {stdout, stderr} = await exec(argv, {timeoutMs, signal});
    // Some versions fail with exit code 0.
    if (/^(?:VBoxManage(?:\.exe)?: )?error:/im.test(stderr)) throw new VboxRefusal(reasonOf(stderr));
    return stdout;
  } catch (error) {
    if (error instanceof ExecError && error.code === 'failed')
      throw new VboxRefusal(reasonOf(error.result.stderr), {cause: error});
    if (error instanceof ExecError && error.code === 'not-found') {
      throw new MachineError('driver-failed', 'VBoxManage not found. Make sure VirtualBox is installed', {
        remedy: 'install VirtualBox, or give --virtualbox-program',
        cause: error,
      });
    }
    throw error;
  }
}

/** The first line that says what is wrong; details and contexts follow it. */
function reasonOf(stderr: string): string {
  const line = stderr.split('\n').find(text => /error:/i.test(text)) ?? stderr.trim().split('\n')[0] ?? '';
  return line.replace(/^(?:VBoxManage(?:\.exe)?: )?error:\s*/i, '').trim();
}

/** True for the answer that there is no such machine, medium or adapter. */
export function isMissing(error: unknown): boolean {
  return (
    error instanceof VboxRefusal &&
    /Could not find (?:a registered machine|file for the medium)|VBOX_E_OBJECT_NOT_FOUND|VBOX_E_FILE_ERROR|does not exist|Could not find.*interface/i.test(
      error.message,
    )
  );
}
