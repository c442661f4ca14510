/** The names that a certificate may carry: chosen by us, never taken from a request. */
import {isIP} from 'node:net';
import {machineServerName} from '../../common/enrolment-mac.ts';
import {EnrolmentError} from './errors.ts';

export interface CertificateNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

// RFC 1123: letters, digits and inner hyphens, labels of at most 63 octets.
const HOST_NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const RESERVED_SUFFIX = '.hawser.internal';

/** Throws `bad-name` unless `name` can stand in a certificate as a machine's name (RFC 5280: CN has at most 64). */
export function checkMachineName(name: string): void {
  if (name.length <= 64 && isHostName(name) && !isReserved(name)) return;
  throw new EnrolmentError('bad-name', `"${name}" cannot be a machine's name`, {
    remedy: 'use letters, digits, hyphens and dots, at most 64 in all',
  });
}

/**
 * Every name of a machine's certificate: the stable one, its own, the loopback's (a port forwarded to the laptop is
 * dialled as 127.0.0.1), and `extra` host names or addresses. Throws `bad-name` for wildcards and other machines' names.
 */
export function machineNames(machine: string, name: string, extra: readonly string[]): CertificateNames {
  checkMachineName(name);
  return serverNames([machineServerName(machine), name, ...checkExtraNames(extra)]);
}

/** Names and loopback addresses of a server that listens under `names`. */
export function serverNames(names: readonly string[]): CertificateNames {
  const all = [...names, 'localhost', '127.0.0.1', '::1'];
  return {
    dns: unique(all.filter(each => isIP(each) === 0).map(each => each.toLowerCase())),
    ip: unique(all.filter(each => isIP(each) !== 0)),
  };
}

/** Returns `extra` when each is an address or a plain host name outside our own name space; throws `bad-name`. */
export function checkExtraNames(extra: readonly string[]): readonly string[] {
  const wrong = extra.find(each => isIP(each) === 0 && (!isHostName(each) || isReserved(each)));
  if (wrong === undefined) return extra;
  throw new EnrolmentError('bad-name', `"${wrong}" cannot stand in a certificate`, {
    remedy: 'give IP addresses or plain host names (no wildcards, nothing under hawser.internal)',
  });
}

function isHostName(name: string): boolean {
  // A name of digits and dots only would be read as an address by some clients.
  return name.length <= 253 && HOST_NAME.test(name) && !/^[0-9.]+$/.test(name);
}

function isReserved(name: string): boolean {
  return `.${name.toLowerCase()}`.endsWith(RESERVED_SUFFIX);
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
