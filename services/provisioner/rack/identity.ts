/** Who a machine says it is, brought to one notation. Everything here can be forged: it names, it does not prove. */
import type {BootQuery, RackReport} from '../../common/contracts/rack.ts';
import {sha256} from '../../common/hash.ts';

export interface Identity {
  readonly uuid?: string;
  readonly serial?: string;
  readonly macs: readonly string[];
}

const FILLERS =
  /^(?:0*|to be filled by o\.?e\.?m\.?|not specified|none|default string|system serial number)$/i;

/** `52:54:00:AB:cd:01`, `52-54-00-…`, `5254.00ab.cd01`, `525400abcd01` as lower case with colons, or undefined. */
export function normalizeMac(text: string): string | undefined {
  const digits = text.trim().replaceAll(/[:.-]/g, '').toLowerCase();
  return /^[0-9a-f]{12}$/.test(digits) ? (digits.match(/../g) ?? []).join(':') : undefined;
}

/** Lower case with dashes; undefined for what firmware writes when it has none. */
export function normalizeUuid(text: string): string | undefined {
  const digits = text.trim().replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(digits) || /^(?:0+|f+)$/.test(digits)) return undefined;
  return asUuid(digits);
}

/** As it is, without spaces at its ends; undefined for fillers. */
export function normalizeSerial(text: string): string | undefined {
  const serial = text.trim();
  return FILLERS.test(serial) ? undefined : serial;
}

export function identityOfReport(report: RackReport): Identity {
  return identity(
    report.uuid,
    report.serial,
    report.nics.map(nic => nic.mac),
  );
}

export function identityOfQuery(query: BootQuery): Identity {
  return identity(query.uuid, query.serial, query.mac === undefined ? [] : [query.mac]);
}

function identity(uuid: string | undefined, serial: string | undefined, macs: readonly string[]): Identity {
  const known = {
    uuid: uuid === undefined ? undefined : normalizeUuid(uuid),
    serial: serial === undefined ? undefined : normalizeSerial(serial),
  };
  return {
    ...(known.uuid === undefined ? {} : {uuid: known.uuid}),
    ...(known.serial === undefined ? {} : {serial: known.serial}),
    macs: [...new Set(macs.flatMap(mac => normalizeMac(mac) ?? []))].sort(),
  };
}

/**
 * The UUID that a machine has with us from its first report on. Not SMBIOS's own, which boards share and owners change:
 * derived from all that it showed first, and kept in its record ever after.
 */
export function machineIdOf({uuid, serial, macs}: Identity): string {
  const digest = sha256(JSON.stringify(['hawser rack v1 machine', uuid ?? '', serial ?? '', macs]));
  // RFC 9562: version 8, the variant's two bits 10.
  return asUuid(`${digest.slice(0, 12)}8${digest.slice(13, 16)}a${digest.slice(17, 32)}`);
}

/**
 * Whether both may be one machine: a MAC in common decides; UUID or serial alone only while the other has told no MAC
 * at all. Two boards with one UUID stay two.
 */
export function isSameMachine(known: Identity, asking: Identity): boolean {
  if (known.macs.some(mac => asking.macs.includes(mac))) return true;
  if (known.macs.length > 0 && asking.macs.length > 0) return false;
  if (known.uuid !== undefined && asking.uuid !== undefined) return known.uuid === asking.uuid;
  return known.serial !== undefined && known.serial.toLowerCase() === asking.serial?.toLowerCase();
}

function asUuid(digits: string): string {
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join('-');
}
