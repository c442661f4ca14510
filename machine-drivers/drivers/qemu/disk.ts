/** A machine's disk: its own changes in a qcow2 file over the image, which stays as it is. */
import {rename, rm, stat} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {Type} from 'typebox';
import {exec} from '../../../services/common/exec.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {DriverHost} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {basesFolder, holdBaseDisk} from './image.ts';
import type {BaseDisk} from './image.ts';

const TOOL_TIMEOUT_MS = 60_000;

const DiskInfo = Type.Object({'virtual-size': Type.Integer({minimum: 0})});

/** Makes `path` unless it is there. The hold on the image is in the ledger before anything stands on it. */
export async function ensureDisk(
  host: DriverHost,
  disk: BaseDisk,
  path: string,
  bytes: number,
): Promise<void> {
  if (
    await stat(path).then(
      () => true,
      () => false,
    )
  )
    return;
  const {base} = await host.reserve('base', async () => ({base: await holdBaseDisk(host.paths, disk)}));
  const held = join(basesFolder(host.paths), String(base));
  const options = {timeoutMs: TOOL_TIMEOUT_MS, signal: host.signal};
  const described = await exec(['qemu-img', 'info', '--output=json', '-U', held], options);
  const least = parseJson(DiskInfo, described.stdout, 'the answer of qemu-img')['virtual-size'];
  if (bytes < least) {
    throw new MachineError(
      'bad-setting',
      `the disk of ${bytes} bytes is smaller than the image (${least} bytes)`,
      {
        remedy: `give --qemu-disk-size ${Math.ceil(least / 2 ** 30)}G or more`,
      },
    );
  }
  const temporary = `${path}.new`;
  await rm(temporary, {force: true});
  await exec(
    [
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      '-F',
      disk.format,
      '-b',
      relative(dirname(path), held),
      temporary,
      String(bytes),
    ],
    options,
  );
  await rename(temporary, path);
}
