/** The lock between processes, with this part's own error. */
import {
  takeLock as takeProcessLock,
  type LockWish as ProcessLockWish,
} from '../../services/common/process-lock.ts';
import {MachineError} from '../errors.ts';

export interface LockWish extends Omit<ProcessLockWish, 'busy'> {
  /** Named in the error, for instance `machine web1`. */
  readonly what: string;
}

/** Takes the lock, or throws `busy` when a live process keeps it for longer than `waitMs`. */
export async function takeLock({what, ...wish}: LockWish): Promise<AsyncDisposable> {
  return takeProcessLock({
    ...wish,
    busy: holder =>
      new MachineError('busy', `${what} is in use by another hawser (process ${holder ?? '?'})`, {
        remedy: 'wait until it has ended, or stop it',
      }),
  });
}
