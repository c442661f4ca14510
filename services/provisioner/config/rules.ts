/** Rules for single values, by the name that schema.ts gives in `rule`. Each says what is wrong, or nothing. */
import {modeProblem} from './modes.ts';
import {didYouMean, type Naming} from './naming.ts';
import type {Place, Report} from './problem.ts';
import {unitTextProblems} from './unit-file.ts';
import {proxyUrlProblem, resourceUrlProblem, tangUrlProblem} from './urls.ts';

interface RuleContext {
  readonly report: Report;
  readonly naming: Naming;
}

/** Undefined when the value is well formed. */
type TextRule = (value: string) => string | undefined;

const UNIT_TYPES = [
  'service',
  'socket',
  'device',
  'mount',
  'automount',
  'swap',
  'target',
  'path',
  'timer',
  'slice',
  'scope',
];
const HASH_HEX_LENGTH = new Map([
  ['sha256', 64],
  ['sha512', 128],
]);

const textRules: Readonly<Record<string, TextRule>> = {
  path: pathProblem,
  localPath: localPathProblem,
  url: resourceUrlProblem,
  tangUrl: tangUrlProblem,
  proxyUrl: proxyUrlProblem,
  httpsProxyUrl: proxyUrlProblem,
  hash: hashProblem,
  guid: value =>
    /^(?:|[\dA-Fa-f]{8}(?:-[\dA-Fa-f]{4}){3}-[\dA-Fa-f]{12})$/u.test(value)
      ? undefined
      : `"${value}" is not a GUID such as 01234567-89ab-cdef-edcb-a98765432101`,
  partitionLabel: partitionLabelProblem,
  deviceName: value => (value.includes('/') ? 'device names cannot contain slashes' : undefined),
  unitName: unitNameProblem,
  dropinName: value =>
    /^[\w:.@\\-]+\.conf$/u.test(value)
      ? undefined
      : `"${value}" is not the name of a drop-in: it must end in .conf and have no slash`,
  userName: userNameProblem,
  sshKey: sshKeyProblem,
  headerName: value =>
    /^[!#$%&'*+.^`|~\w-]+$/u.test(value) ? undefined : `"${value}" is not the name of an HTTP header`,
  headerValue: value =>
    value === '' || /[\r\n\0]/u.test(value) ? 'an HTTP header value must be one line of text' : undefined,
  hostname: hostnameProblem,
  host: hostProblem,
  timezone: timezoneProblem,
};

/** Reports what rule `name` has against `value`, which stands at `place`. */
export function checkRule(name: string, value: string | number, place: Place, context: RuleContext): void {
  if (typeof value === 'number') {
    const problem = modeProblem(value, name === 'folderMode', context.naming);
    if (problem !== undefined) context.report[problem.severity](place, problem.message);
    return;
  }
  if (name === 'unitText') {
    for (const {line, message} of unitTextProblems(value)) context.report.error(lineOf(place, line), message);
    return;
  }
  const message = textRules[name]?.(value);
  if (message !== undefined) context.report.error(place, message);
  else if (name === 'sshKey' && !KEY_TYPES.test(value)) {
    context.report.warn(place, 'this does not look like a public SSH key (`ssh-ed25519 AAAA... comment`)');
  } else if (name === 'httpsProxyUrl' && value.toLowerCase().startsWith('http:')) {
    context.report.warn(place, 'insecure plaintext HTTP proxy for HTTPS resources');
  }
}

/** The place of line `index` (from 0) of a text; only a literal block keeps its lines. */
function lineOf(place: Place, index: number): Place {
  return place.block === true ? {line: place.line + 1 + index, column: 1} : place;
}

/** Absolute and fully simplified, as Ignition wants paths. */
export function pathProblem(value: string): string | undefined {
  if (value === '') return 'the path is empty';
  if (!value.startsWith('/')) return `"${value}" is not an absolute path`;
  if (value.includes('\0')) return 'the path contains a NUL character';
  if (value === '/') return undefined;
  const parts = value.slice(1).split('/');
  if (parts.some(part => part === '' || part === '.' || part === '..')) {
    return `"${value}" is not fully simplified (no "//", "." or "..", no slash at the end)`;
  }
  return undefined;
}

/** Relative to the files directory, and not out of it. */
export function localPathProblem(value: string): string | undefined {
  if (value === '') return 'the path is empty';
  if (value.includes('\0')) return 'the path contains a NUL character';
  let depth = 0;
  for (const part of value.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < 0) return `"${value}" leads out of the files directory`;
  }
  return value.startsWith('/') ? `"${value}" must be relative to the files directory` : undefined;
}

function hashProblem(value: string): string | undefined {
  const [name = '', ...rest] = value.split('-');
  const length = HASH_HEX_LENGTH.get(name);
  const sum = rest.join('-');
  if (rest.length === 0 || length === undefined)
    return 'the hash must have the form sha256-<hex> or sha512-<hex>';
  if (sum.length !== length) return `a ${name} hash has ${length} hex digits, this one has ${sum.length}`;
  return /^[\dA-Fa-f]+$/u.test(sum) ? undefined : 'the hash contains something other than hex digits';
}

function partitionLabelProblem(value: string): string | undefined {
  // GPT: 36 UTF-16 code units; Ignition counts bytes, so the stricter of the two.
  if (new TextEncoder().encode(value).length > 36) return 'partition labels have at most 36 characters';
  return value.includes(':') ? 'partition labels cannot contain a colon' : undefined;
}

function unitNameProblem(value: string): string | undefined {
  const type = value.slice(value.lastIndexOf('.') + 1);
  if (!value.includes('.') || !UNIT_TYPES.includes(type)) {
    return `"${value}" does not end in a unit type (${UNIT_TYPES.map(known => `.${known}`).join(' ')})`;
  }
  if (!/^[\w:.@\\-]+$/u.test(value) || value.startsWith('.') || value.startsWith('@') || value.length > 255) {
    return `"${value}" is not a valid unit name`;
  }
  return undefined;
}

function userNameProblem(value: string): string | undefined {
  if (value === '') return 'the name is empty';
  const valid = /^[^-+~:,/\s\p{Cc}][^:,/\s\p{Cc}]*$/u.test(value) && value.length <= 32;
  return valid ? undefined : `"${value}" is not a name that useradd accepts`;
}

const KEY_TYPES =
  /(?:^|\s)(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[\w-]+@openssh\.com)(?:-cert-v01@openssh\.com)?\s+AAAA/u;

function sshKeyProblem(value: string): string | undefined {
  if (value.trim() === '') return 'the SSH key is empty';
  if (value.includes('PRIVATE KEY')) return 'this is a private key: give the public one (the .pub file)';
  return /[\r\n]/u.test(value.trimEnd()) ? 'one SSH key is one line; make a list item of each' : undefined;
}

/** RFC 1123 labels; Linux keeps 64 characters. */
export function hostnameProblem(value: string): string | undefined {
  const labels = value.split('.');
  const valid = labels.every(label => /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/iu.test(label));
  if (!valid) return `"${value}" is not a host name (letters, digits, "-" and "." between labels)`;
  return value.length > 64 ? 'a host name has at most 64 characters' : undefined;
}

function hostProblem(value: string): string | undefined {
  const ipv6 = /^[\da-f:.]+$/iu.test(value) && value.includes(':');
  if (ipv6) return URL.canParse(`http://[${value}]`) ? undefined : `"${value}" is not an address`;
  return value.length > 253 || !/^[a-z\d](?:[a-z\d.-]*[a-z\d])?\.?$/iu.test(value)
    ? `"${value}" is neither a host name nor an address`
    : undefined;
}

function timezoneProblem(value: string): string | undefined {
  const known = Intl.supportedValuesOf('timeZone');
  if (known.includes(value)) return undefined;
  const message = `"${value}" is not a time zone such as Europe/Berlin${didYouMean(value, known)}`;
  // Intl also takes aliases (Europe/Kyiv, UTC, Etc/GMT+1), but in any case; the file's name has just one.
  if (!/^[A-Z][\w+-]*(?:\/[A-Z][\w+-]*)*$/u.test(value)) return message;
  return isTimezone(value) ? undefined : message;
}

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', {timeZone: name}).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
