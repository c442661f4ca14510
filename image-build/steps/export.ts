/** Hands the built disk out in the formats that the recipe names. */
import type {Artefact, ArtefactName} from '../../services/common/contracts/image.ts';
import type {ExportRequest} from '../formats/exporters/exporter.ts';
import {exporterFor} from '../formats/exporters/index.ts';

/**
 * Artefacts by name. Every exporter reads again what it wrote; they run at the same time, since one waits for
 * qemu-img while another hashes. Throws FormatError; whoever made the folder removes it then.
 */
export async function exportDisk(
  formats: readonly string[],
  request: ExportRequest,
): Promise<Partial<Record<ArtefactName, Artefact>>> {
  // All names are looked up before anything is written.
  const chosen = formats.map(exporterFor);
  const stop = new AbortController();
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([request.signal, stop.signal]);
  const runs = chosen.map(exporter =>
    exporter.export({...request, signal}).catch((error: unknown) => {
      stop.abort();
      throw error;
    }),
  );
  // The folder must not be removed while another exporter still writes to it.
  await Promise.allSettled(runs);
  const files = await Promise.all(runs);
  return Object.fromEntries(files.flat().map(({name, ...artefact}) => [name, artefact]));
}
