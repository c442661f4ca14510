/**
 * Licences from machine-readable copyright files (DEP-5, /usr/share/doc/NAME/copyright) as SPDX expressions.
 * A name that SPDX does not know becomes a LicenseRef with its text.
 */
import {sha256} from '../../services/common/hash.ts';
import {field, parseDeb822} from './deb822.ts';
import {ContentsError} from './errors.ts';

export interface LicenceText {
  /** `LicenseRef-debian-...` */
  readonly id: string;
  readonly name: string;
  readonly text: string;
}

export interface Licences {
  /** SPDX expression over everything in the package's files. */
  readonly expression: string;
  /** What each LicenseRef of the expression stands for. */
  readonly texts: readonly LicenceText[];
}

/** DEP-5 short names, lower case, that name a licence of the SPDX list under another spelling. */
const SPDX_NAMES: Readonly<Record<string, string>> = {
  'agpl-3': 'AGPL-3.0-only',
  'agpl-3+': 'AGPL-3.0-or-later',
  'apache-2': 'Apache-2.0',
  'apache-2.0': 'Apache-2.0',
  artistic: 'Artistic-1.0-Perl',
  'artistic-1': 'Artistic-1.0',
  'artistic-2.0': 'Artistic-2.0',
  beerware: 'Beerware',
  'bsd-2-clause': 'BSD-2-Clause',
  'bsd-3-clause': 'BSD-3-Clause',
  'bsd-4-clause': 'BSD-4-Clause',
  'bsl-1.0': 'BSL-1.0',
  cc0: 'CC0-1.0',
  'cc0-1.0': 'CC0-1.0',
  'cc-by-3.0': 'CC-BY-3.0',
  'cc-by-4.0': 'CC-BY-4.0',
  'cc-by-sa-3.0': 'CC-BY-SA-3.0',
  'cc-by-sa-4.0': 'CC-BY-SA-4.0',
  curl: 'curl',
  expat: 'MIT',
  fsfap: 'FSFAP',
  fsful: 'FSFUL',
  fsfulr: 'FSFULLR',
  fsfullr: 'FSFULLR',
  ftl: 'FTL',
  'gfdl-1.2': 'GFDL-1.2-only',
  'gfdl-1.2+': 'GFDL-1.2-or-later',
  'gfdl-1.3': 'GFDL-1.3-only',
  'gfdl-1.3+': 'GFDL-1.3-or-later',
  'gfdl-niv-1.2+': 'GFDL-1.2-no-invariants-or-later',
  'gfdl-niv-1.3+': 'GFDL-1.3-no-invariants-or-later',
  'gpl-1': 'GPL-1.0-only',
  'gpl-1+': 'GPL-1.0-or-later',
  'gpl-2': 'GPL-2.0-only',
  'gpl-2+': 'GPL-2.0-or-later',
  'gpl-2.0': 'GPL-2.0-only',
  'gpl-2.0+': 'GPL-2.0-or-later',
  'gpl-3': 'GPL-3.0-only',
  'gpl-3+': 'GPL-3.0-or-later',
  'gpl-3.0': 'GPL-3.0-only',
  'gpl-3.0+': 'GPL-3.0-or-later',
  isc: 'ISC',
  'lgpl-2': 'LGPL-2.0-only',
  'lgpl-2+': 'LGPL-2.0-or-later',
  'lgpl-2.0': 'LGPL-2.0-only',
  'lgpl-2.0+': 'LGPL-2.0-or-later',
  'lgpl-2.1': 'LGPL-2.1-only',
  'lgpl-2.1+': 'LGPL-2.1-or-later',
  'lgpl-3': 'LGPL-3.0-only',
  'lgpl-3+': 'LGPL-3.0-or-later',
  'lgpl-3.0+': 'LGPL-3.0-or-later',
  libpng: 'Libpng',
  mit: 'MIT',
  'mpl-1.1': 'MPL-1.1',
  'mpl-2.0': 'MPL-2.0',
  'ofl-1.1': 'OFL-1.1',
  openssl: 'OpenSSL',
  'psf-2': 'PSF-2.0',
  x11: 'X11',
  zlib: 'Zlib',
};

/** The licences in a copyright file, or undefined when the file is not machine-readable. */
export function readCopyright(text: string): Licences | undefined {
  const stanzas = parseLeniently(text);
  const format = stanzas?.[0] === undefined ? undefined : field(stanzas[0], 'Format');
  if (stanzas === undefined || format === undefined || !format.includes('copyright-format')) return undefined;
  const texts = new Map<string, string>();
  const synopses = new Set<string>();
  for (const stanza of stanzas.slice(1)) {
    const [synopsis = '', ...body] = (field(stanza, 'License') ?? '').split('\n');
    const name = synopsis.trim().replaceAll(/\s+/g, ' ');
    if (name === '') continue;
    if (body.length > 0)
      texts.set(name.toLowerCase(), body.map(line => (line === '.' ? '' : line)).join('\n'));
    if (field(stanza, 'Files') !== undefined) synopses.add(name);
  }
  if (synopses.size === 0) return undefined;
  const refs = new Map<string, LicenceText>();
  const toId = (name: string): string => {
    const known = SPDX_NAMES[name.toLowerCase()];
    if (known !== undefined) return known;
    const licence = texts.get(name.toLowerCase()) ?? name;
    // Packages use one short name (`permissive`) for different texts, and a document holds them all.
    const id = `LicenseRef-debian-${name.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}-${sha256(licence).slice(0, 8)}`;
    refs.set(id, {id, name, text: licence});
    return id;
  };
  const parts = new Set([...synopses].map(synopsis => toExpression(synopsis, toId)));
  const expression = [...parts]
    .sort()
    .map(part => (parts.size > 1 && / OR /.test(part) ? `(${part})` : part))
    .join(' AND ');
  return {expression, texts: [...refs.values()].sort((a, b) => (a.id < b.id ? -1 : 1))};
}

// DEP-5 "Short name": `and` binds closer than `or`; a comma before either one turns that round.
function toExpression(synopsis: string, toId: (name: string) => string): string {
  const split = (text: string, separator: RegExp, joiner: string, next: (part: string) => string): string => {
    const parts = text
      .split(separator)
      .map(part => part.trim())
      .filter(part => part !== '');
    return parts.length === 1
      ? next(parts[0] ?? '')
      : parts.map(part => wrap(next(part), joiner)).join(joiner);
  };
  const or = (text: string): string =>
    split(text, /\s+or\s+/i, ' OR ', part => split(part, /\s+and\s+/i, ' AND ', toId));
  const commaOr = (text: string): string => split(text, /\s*,\s+or\s+/i, ' OR ', or);
  return split(synopsis, /\s*,\s+and\s+/i, ' AND ', commaOr);
}

function wrap(part: string, joiner: string): string {
  return joiner === ' AND ' && part.includes(' OR ') ? `(${part})` : part;
}

/** Copyright files are written by hand: one that breaks the format says nothing, and is no error. */
function parseLeniently(text: string): Map<string, string>[] | undefined {
  try {
    return parseDeb822(text);
  } catch (error) {
    if (error instanceof ContentsError) return undefined;
    throw error;
  }
}
