import {exec} from '../../../services/common/exec.ts';

/** A key without a passphrase at `path`, its public half beside it. */
export async function makeKey(path: string): Promise<void> {
  await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path], {timeoutMs: 30_000});
}
