/** An unpacked Debian root of exactly the locked packages. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec, ExecError} from '../../services/common/exec.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {sha256} from '../../services/common/hash.ts';
import type {ProgressStep} from '../../services/common/progress.ts';
import {isThere} from '../cache.ts';
import {ContentsError} from '../contents/errors.ts';
import {parseDeb822} from '../contents/deb822.ts';
import {ImageError} from '../errors.ts';
import type {LockedPackage} from '../packages/lock.ts';
import {writeRepository} from '../packages/repository.ts';
import type {Store} from '../packages/store.ts';
import {buildEnvironment, privateNamespaces} from '../tools-root.ts';
import {makeFolderOnce} from '../work-folder.ts';

/** Raised when the way a root is made changes, so that cached roots are not reused. */
const ROOT_FORMAT = 1;
const BOOTSTRAP_TIMEOUT_MS = 1_200_000;

export interface RootInput {
  readonly cache: string;
  readonly store: Store;
  readonly purpose: 'tools' | 'image';
  readonly packages: readonly LockedPackage[];
  readonly epoch: number;
  readonly step: ProgressStep;
  readonly signal: AbortSignal;
}

/**
 * The path of the root; made when the cache does not have it, from packages whose bytes are compared with the lock
 * once more. Throws {@link ImageError} `hash-mismatch`, `installed-set-differs` or `disk-full`.
 */
export async function ensureRoot(input: RootInput): Promise<string> {
  const {cache, store, purpose, packages, epoch, signal} = input;
  const key = sha256(JSON.stringify([ROOT_FORMAT, epoch, packages.map(({name, sha256}) => [name, sha256])]));
  const root = join(cache, 'roots', `${purpose}-${key.slice(0, 16)}`);
  if (await isThere(root)) return root;
  await makeFolderOnce(root, purpose, async work => {
    for (const entry of packages) await store.verify(entry.sha256, entry.name);
    const repository = join(work, 'repository');
    await writeRepository(repository, store, packages, signal);
    const target = join(work, 'root');
    await bootstrap(repository, target, input);
    await checkInstalled(target, packages);
    return target;
  });
  return root;
}

async function bootstrap(repository: string, target: string, input: RootInput): Promise<void> {
  const names = input.packages.map(({name, version}) => `${name}=${version}`).join(',');
  const mmdebstrap = [
    'mmdebstrap',
    '--mode=root',
    '--variant=custom',
    '--format=directory',
    '--architectures=amd64',
    `--include=${names}`,
    '--aptopt=Apt::Install-Recommends "false"',
    '--dpkgopt=force-unsafe-io',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--dpkgopt=path-exclude=/usr/share/info/*',
    '--skip=cleanup/reproducible',
    'trixie',
    target,
    `deb [trusted=yes] copy:${repository} ./`,
  ];
  // In namespaces of its own: when mmdebstrap is killed, its mounts of /dev and /sys go with it. The packages'
  // scripts find no network, so that nothing but the lock decides what they do.
  const argv = [
    ...privateNamespaces,
    '--net',
    '--',
    'sh',
    '-c',
    'umask 022; exec "$@"',
    'bootstrap',
    ...mmdebstrap,
  ];
  try {
    await exec(argv, {
      timeoutMs: BOOTSTRAP_TIMEOUT_MS,
      signal: input.signal,
      env: {
        ...buildEnvironment,
        SOURCE_DATE_EPOCH: String(input.epoch),
        DEBIAN_FRONTEND: 'noninteractive',
      },
      onLine: line => input.step.update(line.replace(/^I: /, '').slice(0, 60)),
    });
  } catch (error) {
    throw bootstrapError(error);
  }
}

function bootstrapError(error: unknown): unknown {
  if (!(error instanceof ExecError) || error.code !== 'failed') return error;
  if (/No space left on device|Disk quota exceeded/.test(error.result.stderr)) {
    return new ImageError('disk-full', 'the disk is full', {
      remedy: 'free at least 6 GB for the cache',
      cause: error,
    });
  }
  if (error.result.code === 127) {
    return new ImageError('tool-missing', 'mmdebstrap is not installed', {
      remedy: 'run infra/setup.sh, which installs what is missing',
      cause: error,
    });
  }
  const reason = error.result.stderr.split('\n').findLast(line => /^(E|W|dpkg|unshare):/.test(line));
  return new ImageError('step-failed', `mmdebstrap failed: ${reason ?? error.message}`, {cause: error});
}

/**
 * Compares what dpkg says is in `root` with the lock; anything else, half-installed packages and an unreadable
 * status file too, throws {@link ImageError} `installed-set-differs`.
 */
export async function checkInstalled(root: string, packages: readonly LockedPackage[]): Promise<void> {
  const installed = await readInstalled(join(root, 'var/lib/dpkg/status'));
  const wanted = packages.map(({name, version, architecture}) => `${name}=${version} ${architecture}`);
  const extra = installed.filter(entry => !wanted.includes(entry)).map(entry => `+${entry}`);
  const missing = wanted.filter(entry => !installed.includes(entry)).map(entry => `-${entry}`);
  if (extra.length === 0 && missing.length === 0) return;
  const differences = [...extra, ...missing].join(', ');
  throw new ImageError('installed-set-differs', `what got installed differs from the lock: ${differences}`, {
    remedy: 'run "hawser image lock", review the difference and build again',
  });
}

async function readInstalled(path: string): Promise<string[]> {
  try {
    return parseDeb822(await readFile(path, 'utf8')).map(stanza => {
      const name = `${stanza.get('Package')}=${stanza.get('Version')} ${stanza.get('Architecture')}`;
      const status = stanza.get('Status');
      return status === 'install ok installed' ? name : `${name} (${status ?? 'no status'})`;
    });
  } catch (error) {
    if (systemErrorCode(error) === undefined && !(error instanceof ContentsError)) throw error;
    throw new ImageError('installed-set-differs', `${path} cannot be read`, {cause: error});
  }
}
