/**
 * Resolves package names to exact packages with the machine's own apt, in a private folder: nothing of the
 * machine's package state is read or changed, and apt verifies the archive's signature.
 */
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec, ExecError} from '../../services/common/exec.ts';
import {parseDeb822} from '../contents/deb822.ts';
import {ImageError} from '../errors.ts';
import type {LockedPackage} from './lock.ts';
import {archiveOf, type Mirrors} from './mirrors.ts';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const UPDATE_TIMEOUT_MS = 300_000;
const QUERY_TIMEOUT_MS = 120_000;

export interface AptSource {
  readonly mirrors: Mirrors;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

export interface Apt {
  /** The closure of `names` on an empty system, without recommended packages. */
  closure(names: readonly string[]): Promise<LockedPackage[]>;
  /** The one package that `name` stands for, following a metapackage's first versioned kernel dependency. */
  kernel(name: string): Promise<LockedPackage>;
}

/** Prepares the private folder below `folder` and fetches the signed indices. */
export async function openApt(folder: string, source: AptSource, signal: AbortSignal): Promise<Apt> {
  const lists = join(folder, 'state', 'lists', 'partial');
  await mkdir(lists, {recursive: true});
  await mkdir(join(folder, 'cache', 'archives', 'partial'), {recursive: true});
  await mkdir(join(folder, 'etc', 'none'), {recursive: true});
  await writeFile(join(folder, 'state', 'status'), '');
  await writeFile(join(folder, 'etc', 'sources.list'), sourcesList(source));
  const configuration = join(folder, 'apt.conf');
  await writeFile(configuration, aptConfiguration(folder));
  const run = (argv: readonly string[], timeoutMs: number) =>
    exec(argv, {timeoutMs, signal, env: {APT_CONFIG: configuration, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C'}});

  try {
    await run(['apt-get', '-q', 'update', '-o', 'APT::Update::Error-Mode=any'], UPDATE_TIMEOUT_MS);
  } catch (error) {
    throw updateError(error, source);
  }

  const describe = async (wanted: readonly {name: string; version: string; uri: string}[]): Promise<LockedPackage[]> => {
    const shown = await run(
      ['apt-cache', 'show', '--no-all-versions', ...wanted.map(({name, version}) => `${name}=${version}`)],
      QUERY_TIMEOUT_MS,
    );
    const stanzas = new Map(parseDeb822(shown.stdout).map(stanza => [`${stanza.get('Package')}=${stanza.get('Version')}`, stanza]));
    return wanted.map(({name, version, uri}) => {
      const stanza = stanzas.get(`${name}=${version}`);
      const archive = archiveOf(source.mirrors, uri);
      if (stanza === undefined || archive === undefined) {
        throw new ImageError('archive-untrusted', `apt offers ${name} ${version} from ${uri}, which no signed index describes`);
      }
      return lockedPackage(stanza, archive);
    });
  };

  return {
    closure: async names => {
      const essential = await run(['apt-get', '-qq', '--print-uris', '--allow-change-held-packages', 'install', '?essential', ...names], QUERY_TIMEOUT_MS).catch(
        (error: unknown) => {
          throw unknownPackage(error);
        },
      );
      return describe(printedUris(essential.stdout));
    },
    kernel: async name => {
      const depends = await run(['apt-cache', 'depends', '--important', name], QUERY_TIMEOUT_MS).catch((error: unknown) => {
        throw unknownPackage(error);
      });
      const image = /Depends: (linux-image-\S+)/.exec(depends.stdout)?.[1] ?? name;
      const uris = await run(['apt-get', '-qq', '--print-uris', 'download', image], QUERY_TIMEOUT_MS);
      const [entry] = await describe(printedUris(uris.stdout));
      if (entry === undefined) throw new ImageError('unknown-package', `${name} resolves to no kernel image`);
      return entry;
    },
  };
}

/** Reads the apt source files of this machine; absent ones count as empty. */
export async function readAptSources(paths: readonly string[]): Promise<string[]> {
  return Promise.all(paths.map(path => readFile(path, 'utf8').catch(() => '')));
}

function lockedPackage(stanza: ReadonlyMap<string, string>, archive: LockedPackage['archive']): LockedPackage {
  const field = (name: string) => {
    const value = stanza.get(name);
    if (value === undefined) throw new ImageError('archive-untrusted', `the index describes ${stanza.get('Package')} without ${name}`);
    return value;
  };
  const [, sourceName, sourceVersion] = /^(\S+)(?: \((.+)\))?$/.exec(stanza.get('Source') ?? '') ?? [];
  return {
    name: field('Package'),
    version: field('Version'),
    architecture: field('Architecture'),
    archive,
    path: field('Filename'),
    sha256: field('SHA256'),
    size: Number(field('Size')),
    ...(sourceName === undefined ? {} : {source: sourceName}),
    ...(sourceVersion === undefined ? {} : {sourceVersion}),
  };
}

/** Lines of `apt-get --print-uris`: 'URI' NAME_VERSION_ARCH.deb SIZE HASH. */
function printedUris(output: string): {name: string; version: string; uri: string}[] {
  return output.split('\n').flatMap(line => {
    const [, uri, file] = /^'([^']+)' (\S+) \d+ /.exec(line) ?? [];
    const [name, version] = (file ?? '').split('_');
    if (uri === undefined || name === undefined || version === undefined) return [];
    return [{name, version: decodeURIComponent(version), uri}];
  });
}

function unknownPackage(error: unknown): unknown {
  if (!(error instanceof ExecError)) return error;
  const name = /Unable to locate package (\S+)|No packages found|has no installation candidate/.exec(error.result.stderr);
  if (name === null) return new ImageError('unknown-package', `apt cannot resolve the recipe: ${lastError(error)}`, {cause: error});
  return new ImageError('unknown-package', `no package ${name[1] ?? ''} in the archive`, {
    remedy: 'correct the name in the recipe',
    cause: error,
  });
}

function updateError(error: unknown, source: AptSource): unknown {
  if (!(error instanceof ExecError) || error.code !== 'failed') return error;
  const text = error.result.stderr;
  if (/NO_PUBKEY|BADSIG|EXPKEYSIG|not signed|signature/i.test(text)) {
    return new ImageError('archive-untrusted', `the signature of ${source.mirrors.debian} does not verify`, {
      remedy: `update the package debian-archive-keyring (${keyring})`,
      cause: error,
    });
  }
  return new ImageError('archive-unreachable', `${source.mirrors.debian} cannot be read: ${lastError(error)}`, {
    remedy: 'check the network or name another mirror with --mirror URL',
    cause: error,
  });
}

function lastError(error: ExecError): string {
  return error.result.stderr.split('\n').filter(line => line.startsWith('E:')).at(-1)?.slice(3) ?? error.message;
}

function sourcesList(source: AptSource): string {
  return source.suites
    .map(suite => {
      const archive = suite.endsWith('-security') ? 'debian-security' : 'debian';
      return `deb [signed-by=${keyring}] ${source.mirrors[archive]} ${suite} ${source.components.join(' ')}\n`;
    })
    .join('');
}

function aptConfiguration(folder: string): string {
  const settings: Record<string, string> = {
    Dir: folder,
    'Dir::State': 'state',
    'Dir::State::status': join(folder, 'state', 'status'),
    'Dir::Cache': 'cache',
    'Dir::Etc': 'etc',
    'Dir::Etc::sourcelist': 'sources.list',
    'Dir::Etc::sourceparts': 'none',
    'Dir::Etc::main': 'none.conf',
    'Dir::Etc::parts': 'none',
    'Dir::Etc::preferencesparts': 'none',
    'Dir::Etc::trustedparts': 'none',
    'APT::Architecture': 'amd64',
    'APT::Architectures': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join('');
}
