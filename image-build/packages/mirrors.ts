/** Which Debian mirror this machine already uses: read from its own apt sources. Pure. */
import type {LockedPackage} from './lock.ts';

export type ArchiveName = LockedPackage['archive'];
export type Mirrors = Readonly<Record<ArchiveName, string>>;

/** Used on a machine that has no Debian sources of its own (Ubuntu, Fedora, ...). */
const fallback: Mirrors = {
  debian: 'http://ftp.debian.org/debian',
  'debian-security': 'http://ftp.debian.org/debian-security',
};

/**
 * The mirrors named by the texts of `/etc/apt/sources.list` and `/etc/apt/sources.list.d/*`. `mirror` (from
 * `--mirror`) wins over both: security updates are then expected beside it, as every full mirror has them.
 */
export function findMirrors(sourceTexts: readonly string[], mirror?: string): Mirrors {
  if (mirror !== undefined) {
    const debian = mirror.replace(/\/+$/, '');
    return {debian, 'debian-security': debian.replace(/\/debian$/, '/debian-security')};
  }
  const uris = sourceTexts.flatMap(urisOf);
  const ending = (suffix: string) => uris.find(uri => uri.endsWith(suffix));
  const debian = ending('/debian');
  if (debian === undefined) return fallback;
  return {debian, 'debian-security': ending('/debian-security') ?? debian.replace(/\/debian$/, '/debian-security')};
}

function urisOf(text: string): string[] {
  return text.split('\n').flatMap(line => {
    // sources.list(5): the one-line style, and the URIs field of the deb822 style.
    const found = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/.exec(line)?.[1] ?? /^URIs:\s*(.+)$/i.exec(line)?.[1];
    return (found ?? '')
      .split(/\s+/)
      .filter(uri => /^https?:/.test(uri))
      .map(uri => uri.replace(/\/+$/, ''));
  });
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
