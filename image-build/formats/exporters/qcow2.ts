/** QEMU's format, compressed with zstd: what the qemu driver and OpenStack's Glance take. */
import {stat} from 'node:fs/promises';
import {Type} from 'typebox';
import {exec, ExecError} from '../../../services/common/exec.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import type {Exporter, ExportRequest} from './exporter.ts';
import {writeChecked} from './output.ts';

const TIMEOUT_MS = 1_800_000;

const Info = Type.Object({
  format: Type.Literal('qcow2'),
  'virtual-size': Type.Integer(),
  'backing-filename': Type.Optional(Type.String()),
});

export const qcow2Exporter: Exporter = {
  format: 'qcow2',
  summary: 'compressed disk for QEMU and OpenStack',
  export: async request => {
    const file = `${request.name}.qcow2`;
    const written = await writeChecked(
      {folder: request.folder, file, name: 'qcow2'},
      path => convert(request, path),
      path => compare(request, path),
    );
    return [written];
  },
};

/** Throws `export-differs` unless the qcow2 file at `path` stands alone and holds what `disk` holds. */
export async function compareQcow2(disk: string, path: string, signal: AbortSignal): Promise<void> {
  await compare({disk, signal}, path);
}

// No -W: two runs with it gave different bytes. The smallest clusters that still pack well: a machine whose disk lies over
// this file unpacks a whole cluster for every read, and nothing keeps it.
async function convert({disk, signal}: Pick<ExportRequest, 'disk' | 'signal'>, path: string): Promise<void> {
  const options = 'compression_type=zstd,cluster_size=64k,lazy_refcounts=off';
  const argv = ['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', options, disk, path];
  try {
    await exec(argv, {timeoutMs: TIMEOUT_MS, signal});
  } catch (error) {
    if (!(error instanceof ExecError) || !/No space left/.test(error.result.stderr)) throw error;
    throw new FormatError('disk-full', 'there is no room for the qcow2 file', {
      cause: error,
      remedy: 'free some space, or choose another output folder',
    });
  }
}

async function compare({disk, signal}: Pick<ExportRequest, 'disk' | 'signal'>, path: string): Promise<void> {
  const options = {timeoutMs: TIMEOUT_MS, signal};
  const {stdout} = await exec(['qemu-img', 'info', '--output=json', '-f', 'qcow2', path], options);
  const info = parseJson(Info, stdout, 'the output of qemu-img info');
  const differs = (why: string): never => {
    throw new FormatError('export-differs', `the qcow2 file is not the raw disk: ${why}`);
  };
  if (info['backing-filename'] !== undefined) differs('it refers to another file');
  // qemu-img compare accepts zeros that only one side has at its end, so sizes are compared before.
  if (info['virtual-size'] !== (await stat(disk)).size) differs('it has another size');
  const compared = await exec(['qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'qcow2', disk, path], {
    ...options,
    okCodes: [0, 1],
  });
  if (compared.code !== 0) differs('its content differs');
}
