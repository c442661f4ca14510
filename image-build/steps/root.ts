/** An unpacked Debian root of exactly the locked packages. */
import {mkdir, mkdtemp, readFile, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {exec, ExecError} from '../../services/common/exec.ts';
import {sha256} from '../../services/common/hash.ts';
import type {ProgressStep} from '../../services/common/progress.ts';
import {parseDeb822} from '../contents/deb822.ts';
import {ImageError} from '../errors.ts';
import type {LockedPackage} from '../packages/lock.ts';
import {writeRepository} from '../packages/repository.ts';
import type {Store} from '../packages/store.ts';

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

/** The path of the root; made when the cache does not have it. Throws when what got installed is not the locked set. */
export async function ensureRoot(input: RootInput): Promise<string> {
  const key = sha256(JSON.stringify([ROOT_FORMAT, input.epoch, input.packages.map(({name, sha256}) => [name, sha256])]));
  const folder = join(input.cache, 'roots');
  const root = join(folder, `${input.purpose}-${key.slice(0, 16)}`);
  if (await stat(root).catch(() => undefined)) return root;
  await mkdir(folder, {recursive: true});
  const work = await mkdtemp(join(folder, `.${input.purpose}-`));
  try {
    for (const entry of input.packages) await input.store.verify(entry.sha256, entry.name);
    const repository = join(work, 'repository');
    await writeRepository(repository, input.store, input.packages, input.signal);
    const target = join(work, 'root');
    await bootstrap(repository, target, input);
    await checkInstalled(target, input.packages);
    await rename(target, root);
    return root;
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function bootstrap(repository: string, target: string, input: RootInput): Promise<void> {
  const names = input.packages.map(({name, version}) => `${name}=${version}`).join(',');
  const argv = [
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
  try {
    await exec(argv, {
      timeoutMs: BOOTSTRAP_TIMEOUT_MS,
      signal: input.signal,
      env: {PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', SOURCE_DATE_EPOCH: String(input.epoch), DEBIAN_FRONTEND: 'noninteractive'},
      onLine: line => input.step.update(line.replace(/^I: /, '').slice(0, 60)),
    });
  } catch (error) {
    if (error instanceof ExecError && /No space left on device/.test(error.result.stderr)) {
      throw new ImageError('disk-full', 'the disk is full', {remedy: 'free at least 6 GB for the cache', cause: error});
    }
    throw error;
  }
}

async function checkInstalled(root: string, packages: readonly LockedPackage[]): Promise<void> {
  const status = parseDeb822(await readFile(join(root, 'var/lib/dpkg/status'), 'utf8'));
  const installed = status
    .filter(stanza => stanza.get('Status') === 'install ok installed')
    .map(stanza => `${stanza.get('Package')}=${stanza.get('Version')}`);
  const wanted = new Set(packages.map(({name, version}) => `${name}=${version}`));
  const extra = installed.filter(entry => !wanted.has(entry));
  const missing = [...wanted].filter(entry => !installed.includes(entry));
  if (extra.length === 0 && missing.length === 0) return;
  throw new ImageError('installed-set-differs', `the ${root} differs from the lock: ${[...extra.map(e => `+${e}`), ...missing.map(m => `-${m}`)].join(' ')}`);
}
