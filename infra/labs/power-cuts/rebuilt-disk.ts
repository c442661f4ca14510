/** Disks as a power cut leaves them: what is durable in a file that grows along the log, the rest laid over it. */
import {open, type FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import {checkRange, type ByteSource} from '../../../services/common/formats/byte-source.ts';
import type {Area, Layout} from './areas.ts';
import type {Kept} from './cuts.ts';
import type {WriteLog} from './log-file.ts';

const COPY_MS = 600_000;
const ZEROS = new Uint8Array(1 << 20);

export class RebuiltDisk implements AsyncDisposable {
  readonly #log: WriteLog;
  readonly #disk: FileHandle;
  readonly #root: FileHandle;
  readonly #layout: Layout;
  readonly rootPath: string;
  readonly diskPath: string;
  /** Entries before this one are in the files. */
  #applied = 0;
  /** Index of the last entry that changed an area durably; -1 for none. */
  readonly #changed = new Map<Area, number>();

  private constructor(
    log: WriteLog,
    layout: Layout,
    files: {readonly disk: FileHandle; readonly root: FileHandle},
    paths: {readonly disk: string; readonly root: string},
  ) {
    this.#log = log;
    this.#layout = layout;
    this.#disk = files.disk;
    this.#root = files.root;
    this.diskPath = paths.disk;
    this.rootPath = paths.root;
  }

  /** Copies `base` into `folder`, with the root partition once more in a file of its own. */
  static async create(
    log: WriteLog,
    layout: Layout,
    {base, folder}: {readonly base: string; readonly folder: string},
  ): Promise<RebuiltDisk> {
    const paths = {disk: join(folder, 'disk.raw'), root: join(folder, 'root.raw')};
    const {offset, size} = layout.root;
    await exec(['cp', '--sparse=always', '--reflink=auto', base, paths.disk], {timeoutMs: COPY_MS});
    await exec(
      [
        'dd',
        `if=${base}`,
        `of=${paths.root}`,
        'bs=1M',
        `skip=${offset}`,
        `count=${size}`,
        'iflag=skip_bytes,count_bytes',
        'conv=sparse',
        'status=none',
      ],
      {timeoutMs: COPY_MS},
    );
    const disk = await open(paths.disk, 'r+');
    const root = await open(paths.root, 'r+');
    await root.truncate(size);
    return new RebuiltDisk(log, layout, {disk, root}, paths);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disk.close();
    await this.#root.close();
  }

  /** Makes all entries before `end` durable. Goes forward only. */
  async advance(end: number): Promise<void> {
    if (end < this.#applied) throw new Error('a rebuilt disk does not go back in time');
    for (; this.#applied < end; this.#applied += 1) {
      const entry = this.#log.entries[this.#applied];
      if (entry === undefined || entry.mark) continue;
      if (entry.discard) await this.#zero(entry.offset, entry.length);
      else if (entry.dataLength > 0)
        await this.#write(entry.offset, await this.#log.read(entry.dataAt, entry.dataLength));
      for (const area of this.#layout.areas)
        if (overlaps(area, entry)) this.#changed.set(area, this.#applied);
    }
  }

  /** Index of the last durable change of an area, or -1. */
  lastChange(area: Area): number {
    return this.#changed.get(area) ?? -1;
  }

  /** The disk with `kept` on it, to be read. The files stay as they are. */
  view(kept: readonly Kept[]): ByteSource {
    const patches = kept.flatMap(({entry, from, length}) => {
      const logged = this.#log.entries[entry];
      return logged === undefined ? [] : [{offset: logged.offset + from, length, at: logged.dataAt + from}];
    });
    const size = this.#layout.diskSize;
    return {
      size,
      read: async (offset, length) => {
        checkRange(size, offset, length);
        const bytes = new Uint8Array(length);
        await this.#disk.read(bytes, 0, length, offset);
        for (const patch of patches) {
          const from = Math.max(offset, patch.offset);
          const to = Math.min(offset + length, patch.offset + patch.length);
          if (from >= to) continue;
          bytes.set(await this.#log.read(patch.at + from - patch.offset, to - from), from - offset);
        }
        return bytes;
      },
    };
  }

  /** Puts what of `kept` lies in the root partition into a copy of it. */
  async copyRoot(kept: readonly Kept[], path: string): Promise<void> {
    await exec(['cp', '--sparse=always', '--reflink=auto', this.rootPath, path], {timeoutMs: COPY_MS});
    const {offset, size} = this.#layout.root;
    await this.#put(kept, path, {offset, size});
  }

  /** A whole disk, to be booted. */
  async copyDisk(kept: readonly Kept[], path: string): Promise<void> {
    await exec(['cp', '--sparse=always', '--reflink=auto', this.diskPath, path], {timeoutMs: COPY_MS});
    await this.#put(kept, path, {offset: 0, size: this.#layout.diskSize});
  }

  async #put(
    kept: readonly Kept[],
    path: string,
    window: {readonly offset: number; readonly size: number},
  ): Promise<void> {
    const file = await open(path, 'r+');
    try {
      for (const {entry, from, length} of kept) {
        const logged = this.#log.entries[entry];
        if (logged === undefined || !overlaps(window, logged)) continue;
        const bytes = await this.#log.read(logged.dataAt + from, length);
        await file.write(bytes, 0, length, logged.offset + from - window.offset);
      }
    } finally {
      await file.close();
    }
  }

  async #write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#disk.write(bytes, 0, bytes.length, offset);
    const {root} = this.#layout;
    if (overlaps(root, {offset, length: bytes.length}))
      await this.#root.write(bytes, 0, bytes.length, offset - root.offset);
  }

  async #zero(offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += ZEROS.length)
      await this.#write(offset + done, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)));
  }
}

function overlaps(
  area: {readonly offset: number; readonly size: number},
  write: {readonly offset: number; readonly length: number},
): boolean {
  return write.offset < area.offset + area.size && area.offset < write.offset + write.length;
}
