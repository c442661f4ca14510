/** One file made of a range of the disk, compared by SHA-256 after it was written. */
import {createHash} from 'node:crypto';
import type {ArtefactName, SysextArtefactName} from '../../../services/common/contracts/image.ts';
import type {ByteSource} from '../../../services/common/formats/byte-source.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import type {ExportedFile, ExportRequest} from './exporter.ts';
import {copySparse, writeChecked} from './output.ts';

/**
 * Writes `source` as `file`, reads the file again and compares; `check` may then say more of it. Throws `export-differs`, `disk-full`, AbortError.
 */
export async function exportBytes(
  request: Pick<ExportRequest, 'folder' | 'signal'>,
  name: ArtefactName | SysextArtefactName,
  file: string,
  source: ByteSource,
  check: (path: string) => Promise<void> = async () => undefined,
): Promise<ExportedFile> {
  const hash = createHash('sha256');
  return writeChecked(
    {folder: request.folder, file, name},
    path => copySparse(source, path, piece => hash.update(piece), request.signal),
    async (path, sha256) => {
      if (hash.digest('hex') === sha256) return check(path);
      throw new FormatError('export-differs', `${file} does not hold what was written to it`, {
        remedy: 'check the disk that it was written to',
      });
    },
  );
}
