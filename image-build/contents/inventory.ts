/**
 * Everything that an image consists of, as one list with its dependency edges: what the lock promised, joined
 * with what dpkg says was installed. Pure; the documents in spdx.ts and cyclonedx.ts are written from it.
 */
import {field, type Stanza} from './deb822.ts';
import {versionSatisfies} from './debian-version.ts';
import {parseDependencies, type Dependency} from './dependencies.ts';
import {ContentsError} from './errors.ts';
import {readCopyright, type Licences} from './licences.ts';
import {debPurl, genericPurl, npmPurl} from './purl.ts';

/** A Debian package as the lock names it; `source` and `sourceVersion` only where they differ. */
export interface LockedDeb {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  /** Bytes of the .deb. */
  readonly size: number;
  readonly source?: string;
  readonly sourceVersion?: string;
}

export interface LockedTarball {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and base64, as npm writes it. */
  readonly integrity: string;
}

/** A part that Hawser itself brings. */
export interface OwnPart {
  readonly name: string;
  readonly version: string;
  readonly sha256?: string;
  readonly license?: string;
  /** Names of the npm packages that it bundles or loads. */
  readonly npm?: readonly string[];
  /** Names of the Debian packages of which it is made. */
  readonly debs?: readonly string[];
}

export interface InventoryInput {
  /** Suite, for instance `trixie`. */
  readonly distribution: string;
  readonly debs: readonly LockedDeb[];
  /** Paragraphs of dpkg's status file; packages that were only unpacked have none. */
  readonly status: readonly Stanza[];
  readonly npm: readonly LockedTarball[];
  readonly own: readonly OwnPart[];
  /** Texts of /usr/share/doc/NAME/copyright by package name, where they are at hand. */
  readonly copyright?: ReadonlyMap<string, string>;
}

export interface Component {
  /** Unique in the inventory: `deb:bash:amd64`, `npm:semver@7.8.6`, `own:update-agent`. */
  readonly key: string;
  readonly kind: 'deb' | 'npm' | 'own';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hash?: {readonly algorithm: 'SHA-256' | 'SHA-512'; readonly hex: string};
  readonly architecture?: string;
  readonly source?: {readonly name: string; readonly version: string};
  /** `Name <address>`, from the package database. */
  readonly maintainer?: string;
  readonly description?: string;
  readonly homepage?: string;
  readonly licences?: Licences;
  /** Keys of components, sorted. */
  readonly dependsOn: readonly string[];
}

/**
 * Joins the inputs, sorted by key. Throws {@link ContentsError}: `bad-package` when dpkg has a package or
 * version that the lock does not have, `duplicate-package` when a key appears twice.
 */
export function buildInventory(input: InventoryInput): Component[] {
  const installed = input.status.filter(isInstalled);
  const byName = new Map(installed.map(stanza => [field(stanza, 'Package') ?? '', stanza]));
  const locked = new Map(input.debs.map(deb => [deb.name, deb]));
  for (const [name, stanza] of byName) {
    const version = field(stanza, 'Version');
    if (locked.get(name)?.version === version) continue;
    throw new ContentsError('bad-package', `${name} ${version} is installed, but the lock does not have it`, {
      remedy: 'build the image again from its lock',
    });
  }
  const resolve = dependencyResolver(installed, locked);
  const debs = input.debs.map((deb): Component => {
    const stanza = byName.get(deb.name);
    const copyright = input.copyright?.get(deb.name);
    const licences = copyright === undefined ? undefined : readCopyright(copyright);
    return {
      key: debKey(deb),
      kind: 'deb',
      name: deb.name,
      version: deb.version,
      purl: debPurl(deb.name, deb.version, deb.architecture, input.distribution),
      hash: {algorithm: 'SHA-256', hex: deb.sha256},
      architecture: deb.architecture,
      source: {name: deb.source ?? deb.name, version: deb.sourceVersion ?? deb.version},
      ...optional('maintainer', stanza && field(stanza, 'Maintainer')),
      ...optional('description', stanza && field(stanza, 'Description')?.split('\n')[0]),
      ...optional('homepage', stanza && field(stanza, 'Homepage')),
      ...optional('licences', licences),
      dependsOn: stanza === undefined ? [] : resolve(stanza),
    };
  });
  const debKeys = new Map(input.debs.map(deb => [deb.name, debKey(deb)]));
  const npmKeys = new Map(input.npm.map(tarball => [tarball.name, npmKey(tarball)]));
  const npm = input.npm.map((tarball): Component => ({
    key: npmKey(tarball),
    kind: 'npm',
    name: tarball.name,
    version: tarball.version,
    purl: npmPurl(tarball.name, tarball.version),
    hash: {algorithm: 'SHA-512', hex: integrityHex(tarball)},
    dependsOn: [],
  }));
  const own = input.own.map((part): Component => ({
    key: `own:${part.name}`,
    kind: 'own',
    name: part.name,
    version: part.version,
    purl: genericPurl(part.name, part.version),
    ...(part.sha256 === undefined ? {} : {hash: {algorithm: 'SHA-256' as const, hex: part.sha256}}),
    ...optional('licences', part.license === undefined ? undefined : {expression: part.license, texts: []}),
    dependsOn: [
      ...(part.npm ?? []).map(name => npmKeys.get(name) ?? unknownPart(name)),
      ...(part.debs ?? []).map(name => debKeys.get(name) ?? unknownPart(name)),
    ].sort(),
  }));
  return unique([...debs, ...npm, ...own].sort((a, b) => (a.key < b.key ? -1 : 1)));
}

/** Debian Policy 7.5: a dependency is met by a package of that name, or by one that provides it. */
function dependencyResolver(installed: readonly Stanza[], locked: ReadonlyMap<string, LockedDeb>) {
  const providers = new Map<string, {readonly provider: string; readonly version: string | undefined}[]>();
  for (const stanza of installed) {
    const provider = field(stanza, 'Package') ?? '';
    for (const [provided] of parseDependencies(field(stanza, 'Provides') ?? '')) {
      if (provided === undefined) continue;
      const list = providers.get(provided.name) ?? [];
      list.push({provider, version: provided.version?.bound});
      providers.set(provided.name, list);
    }
  }
  const names = new Set(installed.map(stanza => field(stanza, 'Package') ?? ''));
  const meets = (version: string | undefined, wanted: Dependency): boolean =>
    wanted.version === undefined ||
    (version !== undefined && versionSatisfies(version, wanted.version.relation, wanted.version.bound));
  const fulfil = (wanted: Dependency): string[] => {
    const direct = locked.get(wanted.name);
    if (direct !== undefined && names.has(wanted.name) && meets(direct.version, wanted)) return [wanted.name];
    return (providers.get(wanted.name) ?? [])
      .filter(one => meets(one.version, wanted))
      .map(one => one.provider);
  };
  return (stanza: Stanza): string[] => {
    const own = field(stanza, 'Package');
    const keys = new Set<string>();
    for (const key of ['Pre-Depends', 'Depends']) {
      for (const group of parseDependencies(field(stanza, key) ?? '')) {
        const found = group.map(fulfil).find(names => names.length > 0) ?? [];
        for (const name of found) {
          const deb = locked.get(name);
          if (deb !== undefined && name !== own) keys.add(debKey(deb));
        }
      }
    }
    return [...keys].sort();
  };
}

function isInstalled(stanza: Stanza): boolean {
  const status = field(stanza, 'Status');
  return status === undefined || status.endsWith(' installed');
}

function debKey(deb: LockedDeb): string {
  return `deb:${deb.name}:${deb.architecture}`;
}

function npmKey(tarball: LockedTarball): string {
  return `npm:${tarball.name}@${tarball.version}`;
}

function integrityHex({name, integrity}: LockedTarball): string {
  const encoded = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity)?.[1];
  if (encoded === undefined)
    throw new ContentsError('bad-package', `the integrity of ${name} is not a SHA-512`);
  return Array.from(atob(encoded), character => character.charCodeAt(0).toString(16).padStart(2, '0')).join(
    '',
  );
}

function unknownPart(name: string): never {
  throw new ContentsError('bad-package', `the package ${name} is used, but the lock does not have it`);
}

function unique(components: readonly Component[]): Component[] {
  for (const [index, component] of components.entries()) {
    if (components[index + 1]?.key !== component.key) continue;
    throw new ContentsError('duplicate-package', `${component.name} appears twice in the image`);
  }
  return [...components];
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): {[K in Key]?: Value} {
  return value === undefined ? {} : ({[key]: value} as {[K in Key]?: Value});
}
