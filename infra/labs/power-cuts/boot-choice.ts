/** Which entry the boot loader takes (systemd-boot, Boot Loader Specification: sorting, boot counting). */
import {compare} from 'semver';
import type {UkiFile} from '../../../services/update-agent/uki-names.ts';

/** Best first: those without tries left come last, newer versions before older ones. Staged ones are no entries. */
export function bootOrder(files: readonly UkiFile[]): UkiFile[] {
  const exhausted = (file: UkiFile) => (file.tries?.left === 0 ? 1 : 0);
  return files
    .filter(file => !file.staged)
    .sort((a, b) => exhausted(a) - exhausted(b) || compare(b.version, a.version));
}
