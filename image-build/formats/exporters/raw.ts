/** The disk as it is, with holes where it holds zeros. */
import {stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {readGpt} from '../../../services/common/formats/gpt.ts';
import {sha256Sparse} from '../sparse-hash.ts';
import {exportBytes} from './copy.ts';
import type {Exporter} from './exporter.ts';

export const rawExporter: Exporter = {
  format: 'raw',
  summary: 'the GPT disk itself, sparse',
  export: async request => {
    await using disk = await openFileSource(request.disk);
    await readGpt(disk); // a disk with a broken table is not worth handing out
    const file = rawFileName(request.name);
    if (resolve(request.disk) !== resolve(request.folder, file))
      return [await exportBytes(request, 'disk', file, disk)];
    // It was built where it belongs: there is nothing to copy, so reading it once is all the check there can be.
    const path = join(request.folder, file);
    return [
      {name: 'disk', file, size: (await stat(path)).size, sha256: await sha256Sparse(path, request.signal)},
    ];
  },
};

/** A disk of this name in the folder of a build is handed out as it is. */
export function rawFileName(name: string): string {
  return `${name}.raw`;
}
