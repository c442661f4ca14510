/** Butane's `with_mount_unit`: a systemd mount or swap unit for a filesystem. */
import type {ButaneConfig, ButaneFilesystem} from './butane-schema.ts';
import {errorAt, type CheckContext} from './check-context.ts';
import type {Unit} from './ignition-schema.ts';
import {mountUnit} from './unit-file.ts';

/** The units that the filesystems ask for; filesystems with problems of their own are passed over. */
export function mountUnits(config: ButaneConfig, context: CheckContext): Unit[] {
  const byName = new Map<string, {unit: Unit; from: ButaneFilesystem}>();
  for (const filesystem of config.storage?.filesystems ?? []) {
    const {format = '', path = ''} = filesystem;
    if (filesystem.withMountUnit !== true || format === '' || (format !== 'swap' && path === '')) continue;
    const unit = unitFor(filesystem, format, config);
    const first = byName.get(unit.name);
    if (first !== undefined) {
      const line = context.marks.at(first.from).line;
      errorAt(
        context,
        filesystem,
        'withMountUnit',
        `the filesystem on line ${line} already makes "${unit.name}"`,
      );
    }
    byName.set(unit.name, {unit, from: filesystem});
  }
  return [...byName.values()].map(({unit}) => unit);
}

function unitFor(filesystem: ButaneFilesystem, format: string, config: ButaneConfig): Unit {
  const {name, contents} = mountUnit({
    device: filesystem.device,
    format,
    path: filesystem.path,
    options: filesystem.mountOptions ?? [],
    remote: opensOverNetwork(filesystem.device, config),
  });
  return {name, enabled: true, contents};
}

/** A LUKS volume bound to a Tang server opens only with the network. */
function opensOverNetwork(device: string, config: ButaneConfig): boolean {
  return (config.storage?.luks ?? []).some(
    luks =>
      (luks.clevis?.tang ?? []).length > 0 &&
      (device === `/dev/mapper/${luks.name}` || device === `/dev/disk/by-id/dm-name-${luks.name}`),
  );
}
