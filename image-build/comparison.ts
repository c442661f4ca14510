/** Two images of one release, compared down to the partition, the section and the file. */
import {createHash} from 'node:crypto';
import {lstat, readFile, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import type {ByteSource} from '../services/common/formats/byte-source.ts';
import {openFileSource} from '../services/common/formats/file-source.ts';
import {readGpt} from '../services/common/formats/gpt.ts';
import {parsePe} from '../services/common/formats/pe.ts';
import {readUki} from '../services/common/formats/uki.ts';
import {walk} from './steps/walk.ts';

const CHUNK = 4 << 20;

/** Names of what differs between two raw disks: partitions by label, or `partition table`. Empty when they are the same. */
export async function differingParts(before: string, after: string, signal: AbortSignal): Promise<string[]> {
  await using old = await openFileSource(before);
  await using fresh = await openFileSource(after);
  if (old.size !== fresh.size) return [`size (${old.size} and ${fresh.size} bytes)`];
  const [a, b] = [await readGpt(old), await readGpt(fresh)];
  const layout = (gpt: typeof a) =>
    JSON.stringify(gpt.partitions, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
  const names: string[] = [];
  if (layout(a) !== layout(b) || a.uuid !== b.uuid) names.push('partition table');
  let end = 0;
  for (const one of a.partitions.toSorted((x, y) => x.firstLba - y.firstLba)) {
    if (!(await sameRange(old, fresh, end, one.offset, signal)) && names[0] !== 'partition table')
      names.push('bytes between the partitions');
    if (!(await sameRange(old, fresh, one.offset, one.offset + one.size, signal)))
      names.push(`partition ${one.number} (${one.label})`);
    end = one.offset + one.size;
  }
  if (!(await sameRange(old, fresh, end, old.size, signal)) && names.length === 0)
    names.push('bytes behind the partitions');
  return names;
}

async function sameRange(
  a: ByteSource,
  b: ByteSource,
  from: number,
  to: number,
  signal: AbortSignal,
): Promise<boolean> {
  for (let at = from; at < to; at += CHUNK) {
    signal.throwIfAborted();
    const size = Math.min(CHUNK, to - at);
    const [left, right] = await Promise.all([a.read(at, size), b.read(at, size)]);
    if (!Buffer.from(left.buffer, left.byteOffset, size).equals(right)) return false;
  }
  return true;
}

/** Sections that differ between two UKIs; `headers or signature` when the files differ in nothing else. */
export async function differingSections(before: string, after: string): Promise<string[]> {
  const [a, b] = [await readFile(before), await readFile(after)];
  if (a.equals(b)) return [];
  const [old, fresh] = [readUki(parsePe(a)).base, readUki(parsePe(b)).base];
  const names = new Set([...old.keys(), ...fresh.keys()]);
  const found = [...names].filter(
    name => !Buffer.from(old.get(name) ?? []).equals(fresh.get(name) ?? new Uint8Array()),
  );
  return found.length === 0 ? ['headers or signature'] : found;
}

export interface FileDifference {
  /** Relative path. */
  readonly path: string;
  readonly what: 'only in the image' | 'only in the rebuilt one' | 'content' | 'kind' | 'mode or owner';
}

/** Files that differ between two trees, sorted by path. */
export async function differingFiles(before: string, after: string): Promise<FileDifference[]> {
  const [old, fresh] = [await walk(before), await walk(after)];
  const [inOld, inFresh] = [new Set(old), new Set(fresh)];
  const found: FileDifference[] = [];
  for (const path of [...new Set([...old, ...fresh])].sort()) {
    if (!inFresh.has(path)) found.push({path, what: 'only in the image'});
    else if (!inOld.has(path)) found.push({path, what: 'only in the rebuilt one'});
    else {
      const what = await compareEntry(join(before, path), join(after, path));
      if (what !== undefined) found.push({path, what});
    }
  }
  return found;
}

async function compareEntry(before: string, after: string): Promise<FileDifference['what'] | undefined> {
  const [a, b] = [await lstat(before), await lstat(after)];
  if ((a.mode & 0o170000) !== (b.mode & 0o170000)) return 'kind';
  if (a.isSymbolicLink()) return (await readlink(before)) === (await readlink(after)) ? undefined : 'content';
  if (a.isFile() && (a.size !== b.size || (await digest(before)) !== (await digest(after)))) return 'content';
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid ? undefined : 'mode or owner';
}

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
