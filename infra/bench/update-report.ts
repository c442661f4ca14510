/** The figures of an update as lines. Pure. */
import type {StageCost, UpdateFigures} from './update-pairs.ts';

export function renderUpdate(
  figures: UpdateFigures,
  plain: {readonly seconds: number; readonly cpuSeconds: number} | undefined,
): string[] {
  const {fullBytes, ours, casync, desync, rauc, floor, stage} = figures;
  const row = (what: string, bytes: number | undefined) =>
    bytes === undefined
      ? `${what.padEnd(44)} ${'-'.padStart(12)}`
      : `${what.padEnd(44)} ${String(bytes).padStart(12)} ${((100 * bytes) / fullBytes).toFixed(2).padStart(7)} %`;
  const ratio =
    floor === undefined ? [] : [`from the predecessor / floor: ${(ours.fromPredecessor / floor).toFixed(2)}`];
  return [
    'bytes of an update',
    row('whole image, zstd -9 --long=27', fullBytes),
    row('Hawser, from the predecessor', ours.fromPredecessor),
    row('Hawser, from any release', ours.fromAnywhere),
    row('casync', casync),
    row('desync', desync),
    row('RAUC block-hash-index, computed', rauc),
    row('floor: zstd --ultra -22 --long=31 --patch-from', floor),
    ...ratio,
    cost('staged from the predecessor', stage.fromPredecessor),
    cost('staged from any release', stage.fromAnywhere),
    ...(plain === undefined
      ? []
      : [`zstd -d | dd of /usr: ${plain.seconds.toFixed(1)} s, ${plain.cpuSeconds.toFixed(1)} CPU s`]),
  ];
}

function cost(what: string, {seconds, cpuSeconds, maxRssMegabytes}: StageCost): string {
  return `${what}: ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} CPU s, ${maxRssMegabytes.toFixed(0)} MB at most`;
}
