/** Wrappers around the raw disk. */
import {exec} from '../../services/common/exec.ts';

const CONVERT_TIMEOUT_MS = 900_000;

/** Writes a compressed qcow2 and compares it with the raw disk, byte by byte. */
export async function exportQcow2(disk: string, target: string, signal: AbortSignal): Promise<string> {
  const options = {timeoutMs: CONVERT_TIMEOUT_MS, signal};
  await exec(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', 'compression_type=zstd,cluster_size=2M', '-W', disk, target], options);
  await exec(['qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', disk, target], options);
  return target;
}
