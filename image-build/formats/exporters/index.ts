/** All exporters, by the name that a recipe gives them. */
import {FormatError} from '../../../services/common/formats/errors.ts';
import type {Exporter} from './exporter.ts';
import {qcow2Exporter} from './qcow2.ts';
import {rawExporter} from './raw.ts';
import {updateExporter} from './update.ts';

export const exporters: ReadonlyMap<string, Exporter> = new Map(
  [rawExporter, qcow2Exporter, updateExporter].map(one => [one.format, one]),
);

/** The exporter of `format`. Throws {@link FormatError} `unknown-format`, naming the ones that there are. */
export function exporterFor(format: string): Exporter {
  const exporter = exporters.get(format);
  if (exporter !== undefined) return exporter;
  throw new FormatError('unknown-format', `there is no image format "${format}"`, {
    remedy: `use one of: ${[...exporters.keys()].join(', ')}`,
  });
}
