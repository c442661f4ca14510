/** Hands out the image of a system extension, read again and proven against its root hash. */
import {openFileSource} from '../../../services/common/formats/file-source.ts';
import {readSysext} from '../sysext.ts';
import {exportBytes} from './copy.ts';
import type {ExportedFile, ExportRequest} from './exporter.ts';

export interface SysextRequest extends Pick<ExportRequest, 'folder' | 'signal'> {
  readonly name: string;
  readonly image: string;
  readonly rootHash: string;
}

/**
 * Writes `NAME.raw`: systemd-sysext(8) looks for extension-release.NAME, so the file bears no version. Throws
 * FormatError, as exporters do, and leaves nothing then.
 */
export async function exportSysext(request: SysextRequest): Promise<ExportedFile> {
  const {name, image, rootHash} = request;
  await using source = await openFileSource(image);
  return await exportBytes(request, `sysext-${name}`, `${name}.raw`, source, async path => {
    await using copy = await openFileSource(path);
    await readSysext(copy, rootHash);
  });
}
