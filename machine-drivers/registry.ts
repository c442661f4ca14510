/** The drivers, by an explicit list. Nothing else in the core names one. */
import type {Driver} from './driver.ts';
import {qemuDriver} from './drivers/qemu/index.ts';
import {MachineError} from './errors.ts';

export type Registry = readonly Driver[];

export const drivers: Registry = [qemuDriver];

export const defaultDriver = qemuDriver.name;

export function findDriver(registry: Registry, name: string): Driver {
  const driver = registry.find(candidate => candidate.name === name);
  if (driver !== undefined) return driver;
  throw new MachineError('unknown-driver', `there is no driver "${name}"`, {
    remedy: `the drivers are ${registry.map(known => known.name).join(', ')}`,
  });
}
