/** Everything that the machine layer refuses on purpose. Codes are never reused for another meaning. */
import {HawserError} from '../services/common/errors.ts';

export type MachineErrorCode =
  | 'bad-name'
  | 'bad-setting'
  | 'busy'
  | 'check-failed'
  | 'credentials'
  | 'docker-silent'
  | 'driver-failed'
  | 'exists'
  | 'interrupted'
  | 'no-address'
  | 'no-free-port'
  | 'no-such-machine'
  | 'not-running'
  | 'not-stopped'
  | 'quota'
  | 'some-failed'
  | 'ssh-silent'
  | 'store-damaged'
  | 'store-newer'
  | 'unfinished'
  | 'unknown-driver'
  | 'unreachable';

export class MachineError extends HawserError<MachineErrorCode> {}

/** docker-machine's exit code for a check that fails before anything was made. */
export const CHECK_FAILED_EXIT = 3;

/** A check before creation failed: nothing was made, exit code 3. */
export function checkFailed(message: string, remedy: string, cause?: unknown): MachineError {
  return new MachineError('check-failed', message, {remedy, cause, context: {exitCode: CHECK_FAILED_EXIT}});
}

/** Throws when the operator pressed ^C; every step calls it before it changes something. */
export function stopIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new MachineError('interrupted', 'interrupted');
}
