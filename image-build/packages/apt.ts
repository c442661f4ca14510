/**
 * Resolves package names to exact packages with the machine's own apt, in a private folder: nothing of the
 * machine's package state is read or changed, and apt verifies the archive's signature.
 */
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../services/common/exec.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {parseDeb822} from '../contents/deb822.ts';
import {ImageError} from '../errors.ts';
import {aptConfiguration, sourcesList, type AptSource} from './apt-config.ts';
import {lockedPackage, readPrintedUris, unknownPackage, updateError, type PrintedUri} from './apt-output.ts';
import type {LockedPackage} from './lock.ts';
import {archiveOf} from './mirrors.ts';

export type {AptSource} from './apt-config.ts';

const UPDATE_TIMEOUT_MS = 300_000;
const QUERY_TIMEOUT_MS = 120_000;

export interface Apt {
  /**
   * The closure of `names` on an empty system, without recommended packages. Throws {@link ImageError}
   * `unknown-package` for a name that no package has.
   */
  closure(names: readonly string[]): Promise<LockedPackage[]>;
  /** The one package that `name` stands for, following a metapackage's first versioned kernel dependency. */
  kernel(name: string): Promise<LockedPackage>;
}

/**
 * Prepares the private folder below `folder` and fetches the signed indices. Throws {@link ImageError}
 * `archive-untrusted` or `archive-unreachable`.
 */
export async function openApt(folder: string, source: AptSource, signal: AbortSignal): Promise<Apt> {
  const configuration = await prepare(folder, source);
  const env = {APT_CONFIG: configuration, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C'};
  const run = (argv: readonly string[], timeoutMs = QUERY_TIMEOUT_MS) => exec(argv, {timeoutMs, signal, env});

  await run(['apt-get', '-q', 'update', '-o', 'APT::Update::Error-Mode=any'], UPDATE_TIMEOUT_MS).catch(
    (error: unknown) => {
      throw updateError(error, source);
    },
  );
  const query = (argv: readonly string[]) =>
    run(argv).catch((error: unknown) => {
      throw unknownPackage(error);
    });

  const describe = async (wanted: readonly PrintedUri[]): Promise<LockedPackage[]> => {
    const exact = wanted.map(({name, version}) => `${name}=${version}`);
    const shown = await run(['apt-cache', 'show', '--no-all-versions', ...exact]);
    const stanzas = parseDeb822(shown.stdout);
    const byName = new Map(
      stanzas.map(stanza => [`${stanza.get('Package')}=${stanza.get('Version')}`, stanza]),
    );
    return wanted.map(({name, version, uri}) => {
      const stanza = byName.get(`${name}=${version}`);
      const archive = archiveOf(source.mirrors, uri);
      if (stanza !== undefined && archive !== undefined) return lockedPackage(stanza, archive);
      const text = `apt offers ${name} ${version} from ${uri}, which no signed index describes`;
      throw new ImageError('archive-untrusted', text);
    });
  };

  return {
    closure: async names => {
      // Not -qq: it would leave out which dependency is missing.
      const argv = ['apt-get', '-q', '--print-uris', 'install', '?essential', ...names];
      const packages = await describe(readPrintedUris((await query(argv)).stdout));
      checkAsked(names, packages);
      return packages;
    },
    kernel: async name => {
      const depends = await query(['apt-cache', 'depends', '--important', name]);
      const image = /Depends: (linux-image-\S+)/.exec(depends.stdout)?.[1] ?? name;
      const uris = await query(['apt-get', '-qq', '--print-uris', 'download', image]);
      const [entry] = await describe(readPrintedUris(uris.stdout));
      if (entry === undefined) throw new ImageError('unknown-package', `${name} resolves to no kernel image`);
      return entry;
    },
  };
}

/** apt-get(8) reads an unknown name as a pattern or takes a provider of it: other packages than the recipe names. */
function checkAsked(names: readonly string[], packages: readonly LockedPackage[]): void {
  const found = new Set(packages.map(({name}) => name));
  const absent = names.find(name => !found.has(name));
  if (absent === undefined) return;
  throw new ImageError('unknown-package', `no package ${absent} in the archive`, {
    remedy: 'name a real package in the recipe, not a virtual one or a pattern',
  });
}

async function prepare(folder: string, source: AptSource): Promise<string> {
  for (const name of ['state/lists/partial', 'cache/archives/partial', 'etc/none']) {
    await mkdir(join(folder, name), {recursive: true});
  }
  await writeFile(join(folder, 'state', 'status'), '');
  await writeFile(join(folder, 'etc', 'sources.list'), sourcesList(source));
  const configuration = join(folder, 'apt.conf');
  await writeFile(configuration, aptConfiguration(folder));
  return configuration;
}

/** Reads those of `paths` that apt reads (sources.list(5): `.list` and `.sources`); absent ones count as empty. */
export async function readAptSources(paths: readonly string[]): Promise<string[]> {
  const read = paths.filter(path => /\.(list|sources)$/.test(path));
  return Promise.all(read.map(readOrEmpty));
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // A file that only root may read is somebody's private repository, not Debian's archive.
    if (['ENOENT', 'EACCES', 'EISDIR'].includes(systemErrorCode(error) ?? '')) return '';
    throw error;
  }
}
