/** The ordered list of steps by which a machine comes into being. Pure. */
import type {Driver, Step} from './driver.ts';

/** Steps before the driver's and after it. */
const before: readonly Step[] = [{name: 'key', title: 'Making an SSH key'}];
export const stepsOfAccess: readonly Step[] = [
  {name: 'ssh', title: 'Waiting for SSH', volatile: true},
  {name: 'enrol', title: 'Enrolling the machine'},
  {name: 'docker', title: 'Waiting for Docker', volatile: true},
];

/** The whole list for a machine, as data. */
export function creationPlan(driver: Driver, settings: unknown): readonly Step[] {
  return [...before, ...driver.plan(settings), ...stepsOfAccess];
}
