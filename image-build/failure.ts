/** Makes of what a step threw the one line that an operator can act on. */
import {HawserError, systemErrorCode} from '../services/common/errors.ts';
import {ExecError} from '../services/common/exec.ts';
import {ImageError} from './errors.ts';

/** Free space that a build needs beside what the cache holds already, in GB. */
const ROOM_GB = 5;

export interface FailurePlace {
  readonly cache: string;
  readonly images: string;
}

/** A full disk becomes `disk-full`, another system error `step-failed`; everything else stays what it is. */
export function describeFailure(error: unknown, place: FailurePlace): unknown {
  if (isDiskFull(error)) {
    return new ImageError('disk-full', 'the disk is full', {
      remedy: `free ${ROOM_GB} GB for ${place.cache} and ${place.images} ("hawser image prune --cache" removes what is not used), and build again`,
      cause: error,
    });
  }
  if (error instanceof HawserError) return error;
  const code = systemErrorCode(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return new ImageError('step-failed', `the build may not do what it needs (${code})`, {
      remedy: 'run it as root',
      cause: error,
    });
  }
  return error;
}

/** Whether `error`, or anything that caused it, is a lack of room: of Node itself or of a program that it ran. */
export function isDiskFull(error: unknown): boolean {
  for (
    let current = error, depth = 0;
    current instanceof Error && depth < 10;
    current = current.cause, depth += 1
  ) {
    const code = systemErrorCode(current);
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'disk-full') return true;
    if (
      current instanceof ExecError &&
      /No space left on device|Disk quota exceeded/.test(current.result.stderr)
    )
      return true;
  }
  return false;
}
