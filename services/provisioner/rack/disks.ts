/** Which disk is written: by what the operator said of it, never by guess. Pure. */
import type {DiskTransport, PermittedDisk, RackDisk} from '../../common/contracts/rack.ts';

/** All that is given has to fit. Nothing given: the machine has to have exactly one disk that could be installed to. */
export interface DiskWish {
  /** Any of them. */
  readonly serial?: readonly string[];
  readonly wwn?: readonly string[];
  /** Bytes, both ends included. */
  readonly minBytes?: number;
  readonly maxBytes?: number;
  readonly transport?: readonly DiskTransport[];
}

/** What the image needs: ESP 1 GiB, two slots of 2 GiB with their trees, 2 GiB of root. */
export const LEAST_DISK_BYTES = 8 * 1024 ** 3;

export interface DiskFinding {
  readonly disk: RackDisk;
  /** Why it is not the one; empty when it fits. */
  readonly against: readonly string[];
}

/** `findings` is the dry run: every disk, with what speaks against it. */
export type DiskChoice =
  | {readonly kind: 'one'; readonly disk: PermittedDisk; readonly findings: readonly DiskFinding[]}
  | {readonly kind: 'none' | 'ambiguous'; readonly reason: string; readonly findings: readonly DiskFinding[]};

export function chooseDisk(disks: readonly RackDisk[], wish: DiskWish, keepData: boolean): DiskChoice {
  const findings = disks.map(disk => ({disk, against: against(disk, wish, keepData)}));
  const fitting = findings.filter(finding => finding.against.length === 0).map(finding => finding.disk);
  const [first, second] = fitting;
  if (first === undefined) {
    const reason = disks.length === 0 ? 'it has no disks' : `none of its ${disks.length} disks fits`;
    return {kind: 'none', reason, findings};
  }
  if (second !== undefined) {
    const reason = `${fitting.length} disks fit (${fitting.map(nameOf).join(', ')}): name one by serial or WWN`;
    return {kind: 'ambiguous', reason, findings};
  }
  const twin = disks.find(disk => disk !== first && isTwin(disk, first));
  if (twin !== undefined) {
    const reason = `${first.path} and ${twin.path} cannot be told apart: both say ${nameOf(first)}`;
    return {kind: 'ambiguous', reason, findings};
  }
  return {kind: 'one', disk: permitted(first), findings};
}

function permitted({serial, wwn, bytes, path}: RackDisk): PermittedDisk {
  return {...(serial === undefined ? {} : {serial}), ...(wwn === undefined ? {} : {wwn}), bytes, path};
}

/** A disk that the permit's words would fit as well; the path counts only where there are no other words. */
function isTwin(disk: RackDisk, chosen: RackDisk): boolean {
  if (chosen.serial === undefined && chosen.wwn === undefined) return false;
  return disk.serial === chosen.serial && disk.wwn === chosen.wwn && disk.bytes === chosen.bytes;
}

/** Whether `disk`, as the machine found it at its beginning, is what the permit names. */
export function isPermitted(
  named: PermittedDisk,
  disk: Pick<RackDisk, 'path' | 'serial' | 'wwn' | 'bytes'>,
): boolean {
  if (named.bytes !== disk.bytes || named.serial !== disk.serial || named.wwn !== disk.wwn) return false;
  return named.serial !== undefined || named.wwn !== undefined || named.path === disk.path;
}

function against(disk: RackDisk, wish: DiskWish, keepData: boolean): string[] {
  const same = (one: string) => (other: string) => one.trim().toLowerCase() === other.trim().toLowerCase();
  const {serial, wwn, transport, minBytes = 0, maxBytes = Number.POSITIVE_INFINITY} = wish;
  const reasons: [boolean, string][] = [
    [
      serial !== undefined && !serial.some(same(disk.serial ?? '')),
      `its serial is ${disk.serial ?? 'not told'}`,
    ],
    [wwn !== undefined && !wwn.some(same(disk.wwn ?? '')), `its WWN is ${disk.wwn ?? 'not told'}`],
    [transport !== undefined && !transport.includes(disk.transport), `it is on ${disk.transport}`],
    [disk.bytes < minBytes || disk.bytes > maxBytes, `it has ${disk.bytes} bytes`],
    [disk.bytes < LEAST_DISK_BYTES, `an installation needs ${LEAST_DISK_BYTES} bytes`],
    [disk.readOnly, 'it is read-only'],
    // Sticks and card readers, unless they were asked for by name.
    [
      disk.removable && serial === undefined && wwn === undefined,
      'it is removable: name it by serial or WWN',
    ],
    [keepData && disk.hawser?.root !== true, 'there is no data on it to be kept'],
  ];
  return reasons.filter(([holds]) => holds).map(([, reason]) => reason);
}

function nameOf({path, serial, wwn}: RackDisk): string {
  return serial ?? wwn ?? path;
}
