/** Machine names: docker-machine's rule, and short enough for a host name. */
import {MachineError} from './errors.ts';

/**
 * docker-machine allows letters, digits, dashes and dots, a letter or digit first. A name also becomes a host name
 * and stands in a certificate, so (RFC 1123) no part ends in a dash; 63 is the longest host name of Linux.
 */
const NAME = /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
/** Would be read as an address. */
const NUMBERS = /^[0-9.]+$/;

export const defaultMachineName = 'default';

export function isMachineName(name: string): boolean {
  return NAME.test(name) && !NUMBERS.test(name);
}

/** Returns `name` when it may name a machine, otherwise throws `bad-name`. */
export function checkMachineName(name: string): string {
  if (isMachineName(name)) return name;
  throw new MachineError('bad-name', `"${name.slice(0, 80)}" cannot name a machine`, {
    remedy: 'use 1 to 63 letters, digits, dashes and dots, a letter or a digit at both ends, not only digits',
  });
}

/** Orders names as people count: node2 before node10. */
export function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', {numeric: true});
}
