/** Which Debian mirror this machine already uses: read from its own apt sources. Pure. */
import {readSources, type AptSourceEntry} from './apt-sources.ts';
import type {LockedPackage} from './lock.ts';

export type ArchiveName = LockedPackage['archive'];
export type Mirrors = Readonly<Record<ArchiveName, string>>;

/** Used on a machine that has no fitting sources of its own (Ubuntu, Fedora, ...). */
const fallback: Mirrors = {
  debian: 'http://ftp.debian.org/debian',
  'debian-security': 'http://ftp.debian.org/debian-security',
};

/** The release whose packages an image is made of. */
const CODENAME = 'trixie';

/**
 * Debian's own network carries all supported releases, so its addresses serve a machine of another release too.
 * Not so the archives of old releases and of single days, nor anybody's private mirror, which may hold one release.
 */
const complete =
  /^https?:\/\/(?!archive\.|snapshot\.|ports\.|incoming\.)([a-z0-9-]+\.)+debian\.org(:\d+)?\/debian(-security)?$/;

/**
 * The mirrors named by the texts of `/etc/apt/sources.list` and `/etc/apt/sources.list.d/*`: those of trixie, else
 * Debian's own that the machine uses for another release, else ftp.debian.org. `mirror` (from `--mirror`, with or
 * without a slash at its end) wins over all; security updates are then expected beside it, under the same name with
 * `-security` added, as every full mirror has them.
 */
export function findMirrors(sourceTexts: readonly string[], mirror?: string): Mirrors {
  if (mirror !== undefined) return besideEachOther(mirror.replace(/\/+$/, ''));
  const entries = sourceTexts.flatMap(readSources);
  const debian = findArchive(entries, [CODENAME], '/debian');
  if (debian === undefined) return fallback;
  const security = findArchive(entries, [`${CODENAME}-security`], '/debian-security');
  return {debian, 'debian-security': security ?? besideEachOther(debian)['debian-security']};
}

function findArchive(
  entries: readonly AptSourceEntry[],
  suites: readonly string[],
  path: string,
): string | undefined {
  const own = entries.find(
    ({uri, suite, components}) =>
      suites.includes(suite) && components.includes('main') && isDebian(uri, path),
  );
  return (own ?? entries.find(({uri}) => uri.endsWith(path) && complete.test(uri)))?.uri;
}

/** Other archives have suites of Debian's names too (docker.com: "trixie stable"); Debian's has Debian's path. */
function isDebian(uri: string, path: string): boolean {
  return uri.endsWith(path) || /^https?:\/\/([a-z0-9-]+\.)+debian\.org(\/|$)/.test(uri);
}

function besideEachOther(debian: string): Mirrors {
  return {debian, 'debian-security': `${debian}-security`};
}

/** Where one locked package is fetched from. */
export function packageUrl(mirrors: Mirrors, entry: LockedPackage): string {
  return `${mirrors[entry.archive]}/${entry.path.split('/').map(encodeURIComponent).join('/')}`;
}

/** Which of our archives a pool URL printed by apt belongs to. */
export function archiveOf(mirrors: Mirrors, uri: string): ArchiveName | undefined {
  if (uri.startsWith(`${mirrors['debian-security']}/`)) return 'debian-security';
  return uri.startsWith(`${mirrors.debian}/`) ? 'debian' : undefined;
}
