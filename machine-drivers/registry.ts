/** The drivers, by an explicit list, and those outside the tree. Nothing else in the core names one. */
import type {Driver} from './driver.ts';
import {amazonec2Driver} from './drivers/amazonec2/index.ts';
import {findExternalDrivers} from './drivers/external/find.ts';
import {genericDriver} from './drivers/generic/index.ts';
import {openstackDriver} from './drivers/openstack/index.ts';
import {qemuDriver} from './drivers/qemu/index.ts';
import {virtualboxDriver} from './drivers/virtualbox/index.ts';
import {MachineError} from './errors.ts';

export type Registry = readonly Driver[];

export const drivers: Registry = [
  qemuDriver,
  virtualboxDriver,
  openstackDriver,
  amazonec2Driver,
  genericDriver,
];

export const defaultDriver = qemuDriver.name;

/**
 * Ours, then those on the PATH. `asked` is the command line: a driver outside the tree tells its flags only where it is
 * spoken of, since that starts a process.
 */
export async function allDrivers(
  env: Readonly<Record<string, string | undefined>>,
  asked: readonly string[],
): Promise<Registry> {
  const found = [...(await findExternalDrivers(env))].filter(
    ([name]) => !drivers.some(own => own.name === name),
  );
  if (found.length === 0) return drivers;
  const {checkDescription, describeDriver, externalDriver} = await import('./drivers/external/index.ts');
  const spokenOf = [...asked, env['HAWSER_DRIVER'] ?? ''];
  const others: Driver[] = [];
  for (const [name, program] of found) {
    const described = asked.includes('create') && spokenOf.some(word => word.includes(name));
    others.push(
      described
        ? externalDriver(name, program, checkDescription(name, await describeDriver(program, env)))
        : externalDriver(name, program),
    );
  }
  return [...drivers, ...others];
}

export function findDriver(registry: Registry, name: string): Driver {
  const driver = registry.find(candidate => candidate.name === name);
  if (driver !== undefined) return driver;
  throw new MachineError('unknown-driver', `there is no driver "${name}"`, {
    remedy: `the drivers are ${registry.map(known => known.name).join(', ')}`,
  });
}
