/** A firmware variable store for VMs with our keys in it, beside the image: Secure Boot from their first boot. */
import {copyFile, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {keySetPaths} from '../keys/key-set.ts';
import {ovmfVarsCommand} from '../keys/ovmf-vars.ts';
import {runTool, type BuildContext} from './context.ts';

/** Where Debian and Ubuntu put OVMF's empty store. */
const template = '/usr/share/OVMF/OVMF_VARS_4M.fd';

/** Writes `out/ovmf-vars-secboot.fd` from the certificates in `keys`; returns false on a machine without OVMF, whose VMs could not use it. */
export async function writeSecureBootVars(
  context: BuildContext,
  keys: string,
  work: string,
  out: string,
): Promise<boolean> {
  if (!(await stat(template).catch(() => undefined))) return false;
  await copyFile(template, join(work, 'vars-template.fd'));
  const owner = (await readFile(keySetPaths(keys).owner, 'utf8')).trim();
  await runTool(
    context,
    ovmfVarsCommand({
      template: '/build/vars-template.fd',
      output: '/out/ovmf-vars-secboot.fd',
      owner,
      keys: keySetPaths('/keys'),
    }),
    {[work]: '/build', [keys]: '/keys', [out]: '/out'},
  );
  return true;
}
