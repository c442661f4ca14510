/**
 * The initrd as a row of archives, each a zstd frame of its own: the kernel unpacks one after the other
 * (init/initramfs.c), and an update reuses those that did not change, or makes them anew from /usr
 * (services/common/payload). One archive over everything would be another from its first changed byte on.
 */
import {promisify} from 'node:util';
import {constants, zstdCompress} from 'node:zlib';
import {archivePacking} from '../../services/common/payload/recipe.ts';
import {cpioField, writeCpio, type CpioEntry} from '../../services/common/formats/cpio.ts';

/** A file of this size is an archive alone; the others go together by folder. */
const ALONE_BYTES = 64 * 1024;
/** 1 January 2025, in every release: with the release's own time no archive would ever stay the same. */
const MTIME = 1_735_689_600;

const compress = promisify(zstdCompress);

/** Archives of `entries`: folders, links and small files first, since what follows lies in those folders. */
export function splitArchives(entries: readonly CpioEntry[]): CpioEntry[][] {
  const linked = (entry: CpioEntry) =>
    (entry.fields[cpioField.links] ?? 1) > 1 &&
    ((entry.fields[cpioField.mode] ?? 0) & 0o170_000) === 0o100_000;
  const folder = (name: string) => name.split('/').slice(0, 3).join('/');
  const bundles = new Map<string, CpioEntry[]>();
  const alone: CpioEntry[][] = [];
  for (const entry of entries) {
    // The kernel knows hard links within one archive only, and only for those does the inode's number matter.
    const name = linked(entry) ? 'links' : entry.content.length === 0 ? 'empty' : folder(entry.name);
    const fields = entry.fields.map((field, index) =>
      index === cpioField.mtime ? MTIME : index === cpioField.ino && !linked(entry) ? 0 : field,
    );
    const normal = {...entry, fields};
    if (!linked(entry) && entry.content.length >= ALONE_BYTES) alone.push([normal]);
    else bundles.set(name, [...(bundles.get(name) ?? []), normal]);
  }
  // Folders have no content, so they are in the bundle of empty entries, which has to be the first.
  const {empty = [], links = [], ...rest} = Object.fromEntries(bundles);
  const symlinks = Object.values(rest);
  return [empty, ...symlinks, links, ...alone].filter(archive => archive.length > 0);
}

/** The bytes of the initrd. */
export async function packArchives(archives: readonly (readonly CpioEntry[])[]): Promise<Uint8Array> {
  const frames: Uint8Array[] = [];
  for (const archive of archives) {
    const bytes = writeCpio(archive);
    frames.push(
      await compress(bytes, {
        params: {
          [constants.ZSTD_c_compressionLevel]: archivePacking.level,
          [constants.ZSTD_c_windowLog]: archivePacking.windowLog,
        },
        pledgedSrcSize: bytes.length,
      }),
    );
  }
  return Buffer.concat(frames);
}
