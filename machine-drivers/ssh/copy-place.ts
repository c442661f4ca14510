/** The two ends of `machine scp`: pure. */
import {checkMachineName} from '../names.ts';

export interface CopyPlace {
  /** Undefined for a local path. */
  readonly machine?: string;
  /** As scp is given it. */
  readonly argument: string;
}

/** Reads `path`, `machine:path` or `user@machine:path`. A colon behind a slash belongs to a local path, as in scp. */
export function parseCopyPlace(text: string): CopyPlace {
  const colon = text.indexOf(':');
  if (colon === -1 || text.slice(0, colon).includes('/')) {
    // scp would take a leading dash for a flag, in spite of `--` in old versions.
    return {argument: text.startsWith('-') ? `./${text}` : text};
  }
  const machine = checkMachineName(text.slice(text.indexOf('@') + 1, colon));
  return {machine, argument: text};
}
