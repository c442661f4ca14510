/** Reads what apt prints: packages to fetch, descriptions, reasons of failure. Pure. */
import {ExecError} from '../../services/common/exec.ts';
import {ImageError} from '../errors.ts';
import {debianKeyring, type AptSource} from './apt-config.ts';
import type {LockedPackage} from './lock.ts';

export interface PrintedUri {
  readonly name: string;
  readonly version: string;
  readonly uri: string;
}

/** Lines of `apt-get --print-uris`: 'URI' NAME_VERSION_ARCH.deb SIZE HASH. */
export function readPrintedUris(output: string): PrintedUri[] {
  return output.split('\n').flatMap(line => {
    const [, uri, file] = /^'([^']+)' (\S+) \d+ /.exec(line) ?? [];
    const [name, version] = (file ?? '').split('_');
    if (uri === undefined || name === undefined || version === undefined) return [];
    return [{name, version: decodeURIComponent(version), uri}];
  });
}

/** A paragraph of an index as the lock has it. Throws `archive-untrusted` when a field that proves it is missing. */
export function lockedPackage(
  stanza: ReadonlyMap<string, string>,
  archive: LockedPackage['archive'],
): LockedPackage {
  const field = (name: string) => {
    const value = stanza.get(name);
    if (value !== undefined) return value;
    const text = `the index describes ${stanza.get('Package') ?? 'a package'} without ${name}`;
    throw new ImageError('archive-untrusted', text);
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

/** The error for a name that apt cannot resolve. */
export function unknownPackage(error: unknown): unknown {
  if (!(error instanceof ExecError) || error.code !== 'failed') return error;
  const {stdout, stderr} = error.result;
  const name =
    /Unable to locate package (\S+)/.exec(stderr)?.[1] ??
    /Package '?([a-z0-9.+-]+)'? has no installation candidate/.exec(stderr)?.[1];
  if (name === undefined) {
    // apt-get lists unmet dependencies on standard output.
    const unmet = stdout.split('\n').find(line => line.includes('Depends:'));
    const reason = (unmet ?? lastError(error)).trim();
    return new ImageError('unknown-package', `apt cannot resolve the recipe: ${reason}`, {
      remedy: 'correct the names in the recipe, or add the suite or component that has what is missing',
      cause: error,
    });
  }
  return new ImageError('unknown-package', `no package ${name} in the archive`, {
    remedy: 'correct the name in the recipe',
    cause: error,
  });
}

/** The error for an index that apt did not take. */
export function updateError(error: unknown, source: AptSource): unknown {
  if (!(error instanceof ExecError) || error.code !== 'failed') return error;
  const text = error.result.stderr;
  const {debian} = source.mirrors;
  if (/is expired|is not valid yet/i.test(text)) {
    return new ImageError('archive-untrusted', `the index of ${debian} is too old or from the future`, {
      remedy: 'check the clock of this machine, or name another mirror with --mirror URL',
      cause: error,
    });
  }
  if (/NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|not signed|signature|clearsigned/i.test(text)) {
    return new ImageError('archive-untrusted', `the signature of ${debian} does not verify`, {
      remedy: `update the package debian-archive-keyring (${source.keyring ?? debianKeyring})`,
      cause: error,
    });
  }
  if (/Hash Sum mismatch|unexpected size/i.test(text)) {
    return new ImageError('archive-untrusted', `${debian} sends other bytes than its signed index names`, {
      remedy:
        'it may be in the middle of an update: try again later, or name another mirror with --mirror URL',
      cause: error,
    });
  }
  return new ImageError('archive-unreachable', `${debian} cannot be read: ${lastError(error)}`, {
    remedy: 'check the network or name another mirror with --mirror URL',
    cause: error,
  });
}

function lastError(error: ExecError): string {
  const line = error.result.stderr.split('\n').findLast(line => line.startsWith('E:'));
  return line?.slice(3) ?? error.message;
}
