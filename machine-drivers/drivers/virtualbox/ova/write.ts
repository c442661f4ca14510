/** Writes an appliance file (OVA: a tar of envelope, hashes and disk), and reads it again. */
import {mkdir, mkdtemp, open, rename, rm, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {create, extract, list} from 'tar';
import {Type} from 'typebox';
import {syncFolder, writeFileAtomic} from '../../../../services/common/fs-atomic.ts';
import {sha256, sha256File} from '../../../../services/common/hash.ts';
import {parseValue} from '../../../../services/common/parse.ts';
import type {PublishedImage} from '../../../../services/common/published-images.ts';
import {MachineError} from '../../../errors.ts';
import type {BuiltImage, PublishHost} from '../../../publisher.ts';
import {ovf} from './ovf.ts';
import {proveVmdk, writeVmdk} from './vmdk.ts';

export const Settings = Type.Object({file: Type.Optional(Type.String())});

/** The file is there, whole and proven, or not at all. */
export async function writeAppliance(
  image: BuiltImage,
  given: unknown,
  host: PublishHost,
): Promise<PublishedImage> {
  const {name, version, rootHash} = image.manifest;
  const base = `${name}-${version}`;
  const file =
    parseValue(Settings, given, 'the settings').file ?? join(host.paths.home, 'published', `${base}.ova`);
  await mkdir(dirname(file), {recursive: true});
  const folder = await mkdtemp(`${file}.`);
  try {
    const vmdkName = `${base}-disk1.vmdk`;
    const vmdk = join(folder, vmdkName);
    await writeVmdk({
      raw: image.disk,
      vmdk,
      name: vmdkName,
      contentId: rootHash.slice(0, 8),
      signal: host.signal,
      report: share => host.report(`disk: ${Math.round(share * 100)} %`),
    });
    const envelope = ovf({
      name,
      version,
      vmdk: {file: vmdkName, bytes: (await stat(vmdk)).size},
      capacityBytes: (await stat(image.disk)).size,
      cpus: 1,
      memoryMiB: 1024,
      uuid: uuidOf(rootHash),
    });
    await writeFileAtomic(join(folder, `${base}.ovf`), envelope, 0o644);
    // DSP0243 5.1: one line a file.
    const manifest = [
      `SHA256(${base}.ovf)= ${sha256(envelope)}`,
      `SHA256(${vmdkName})= ${await sha256File(vmdk)}`,
      '',
    ].join('\n');
    await writeFileAtomic(join(folder, `${base}.mf`), manifest, 0o644);
    const ova = join(folder, `${base}.ova`);
    // The envelope comes first (DSP0243 5.3); no entry carries this computer's times or owners.
    const entries = [`${base}.ovf`, `${base}.mf`, vmdkName];
    await create({file: ova, cwd: folder, portable: true, noMtime: true}, entries);
    host.report('reading it again');
    await prove(ova, entries, vmdkName, image.disk, host.signal);
    await using written = await open(ova, 'r');
    await written.sync();
    await rename(ova, file);
    await syncFolder(dirname(file));
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
  const at = host.clock.now().toISOString();
  return {schema: 1, driver: 'virtualbox', place: dirname(file), reference: file, version, rootHash, at};
}

/** What is in the archive, taken out again, is the raw disk. */
async function prove(
  ova: string,
  entries: readonly string[],
  vmdkName: string,
  raw: string,
  signal: AbortSignal,
): Promise<void> {
  const found: string[] = [];
  await list({file: ova, onReadEntry: entry => void found.push(entry.path)});
  if (found.join() !== entries.join())
    throw new MachineError('driver-failed', `${ova} holds ${found.join(', ')}`);
  const folder = await mkdtemp(`${ova}.`);
  try {
    await extract({file: ova, cwd: folder, strict: true}, [vmdkName]);
    await proveVmdk(join(folder, vmdkName), raw, signal);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** RFC 9562, version 8: bits of our own choice. */
function uuidOf(rootHash: string): string {
  const hex = sha256(`appliance ${rootHash}`);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
