/** The disk as it is, with holes where it holds zeros. */
import {openFileSource} from '../file-source.ts';
import {readGpt} from '../gpt.ts';
import {exportBytes} from './copy.ts';
import type {Exporter} from './exporter.ts';

export const rawExporter: Exporter = {
  format: 'raw',
  summary: 'the GPT disk itself, sparse',
  export: async request => {
    await using disk = await openFileSource(request.disk);
    await readGpt(disk); // a disk with a broken table is not worth handing out
    return [await exportBytes(request, 'disk', `${request.name}.raw`, disk)];
  },
};
