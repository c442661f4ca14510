/**
 * The recipe's own changes. Scripts and playbooks run in the whole Debian root, before anything is trimmed, as they
 * would with Packer; `files` steps after the last of them are put on the finished tree.
 */
import {lstat, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {exec, ExecError} from '../../services/common/exec.ts';
import {sha256File} from '../../services/common/hash.ts';
import {isThere} from '../cache.ts';
import {ImageError} from '../errors.ts';
import type {Provisioner} from '../recipe/recipe.ts';
import {execInRoot} from '../tools-root.ts';
import type {BuildContext} from './context.ts';
import {hashFolder} from './folder-hash.ts';
import {placeFiles} from './place.ts';

const COPY_TIMEOUT_MS = 300_000;
const PROVISION_TIMEOUT_MS = 1_800_000;
/** Where a script finds the recipe's folder. */
const recipeMount = '/run/recipe';

interface Phases {
  /** Up to the last script or playbook. */
  readonly live: readonly Provisioner[];
  readonly finish: readonly Provisioner[];
}

/** Which steps work on the whole root, and which on the finished tree. Pure. */
export function splitSteps(steps: readonly Provisioner[]): Phases {
  const last = steps.findLastIndex(step => step.type !== 'files');
  return {live: steps.slice(0, last + 1), finish: steps.slice(last + 1)};
}

/**
 * The image root after the live steps: a copy of its own, since a step may edit any file in place, cached by the
 * recipe's folder. Without live steps the image root itself.
 */
export async function provisionRoot(context: BuildContext): Promise<string> {
  const {live} = splitSteps(context.recipe.provision.steps);
  if (live.length === 0) return context.imageRoot;
  const key = [
    context.imageRoot,
    live,
    await hashFolder(context.recipeFolder),
    await hashSources(context, live),
  ];
  return context.cache.ensure('provisioned', key, async work => {
    const argv = ['cp', '-a', '--reflink=auto', '--', `${context.imageRoot}/.`, work];
    await exec(argv, {timeoutMs: COPY_TIMEOUT_MS, signal: context.signal});
    for (const step of live) await runStep(context, step, work);
  });
}

async function hashSources(context: BuildContext, steps: readonly Provisioner[]): Promise<string[]> {
  const hashes: string[] = [];
  for (const step of steps) {
    if (step.type !== 'files') continue;
    const path = join(context.recipeFolder, step.source);
    if (await isThere(path))
      hashes.push((await lstat(path)).isFile() ? await sha256File(path) : await hashFolder(path));
  }
  return hashes;
}

async function runStep(context: BuildContext, step: Provisioner, root: string): Promise<void> {
  switch (step.type) {
    case 'files':
      return placeFiles(join(context.recipeFolder, step.source), root, step.destination, '/');
    case 'script':
      return runScript(context, step.path, root);
    case 'ansible':
      return runPlaybook(context, step.playbook, root);
  }
}

async function runScript(context: BuildContext, path: string, root: string): Promise<void> {
  const file = join(context.recipeFolder, path);
  const info = (await isThere(file)) ? await lstat(file) : undefined;
  if (info === undefined || (info.mode & 0o100) === 0) {
    throw new ImageError('recipe-invalid', `provision.steps: ${path} is not an executable file`, {
      remedy: `correct the path, or run "chmod +x ${path}"`,
    });
  }
  await provisioned(`the script ${path}`, () =>
    execInRoot({
      root,
      binds: {[context.recipeFolder]: recipeMount},
      argv: [`${recipeMount}/${path}`],
      env: {SOURCE_DATE_EPOCH: String(context.lock.epoch)},
      timeoutMs: PROVISION_TIMEOUT_MS,
      signal: context.signal,
    }),
  );
}

/**
 * Stands in for ssh: ansible-core has no chroot connection (a collection brings one), and its ssh connection
 * sends everything, files too, through the one command that follows the options.
 */
const enterInsteadOfSsh = `#!/bin/sh
for last; do :; done
exec chroot "$HAWSER_ROOT" /bin/sh -c "$last"
`;

async function runPlaybook(context: BuildContext, playbook: string, root: string): Promise<void> {
  if (!(await isThere(join(root, 'usr/bin/python3')))) {
    throw new ImageError('recipe-invalid', `provision.steps: ${playbook} needs Python in the root`, {
      remedy: 'add python3 to build.packages; build.remove can take it out of the image again',
    });
  }
  const file = join(context.recipeFolder, playbook);
  const home = await mkdtemp(join(tmpdir(), 'hawser-ansible-'));
  try {
    const ssh = join(home, 'ssh');
    await writeFile(ssh, enterInsteadOfSsh, {mode: 0o755});
    const beside = join(dirname(file), 'ansible.cfg');
    // One named here keeps ansible from reading the machine's own, /etc/ansible/ansible.cfg.
    const configuration = (await isThere(beside)) ? beside : join(home, 'ansible.cfg');
    await writeFile(join(home, 'ansible.cfg'), '');
    await provisioned(`the playbook ${playbook}`, () =>
      execInRoot({
        where: 'host',
        root,
        binds: {},
        argv: ['ansible-playbook', '-i', 'image,', file],
        cwd: dirname(file),
        env: {
          HOME: home,
          HAWSER_ROOT: root,
          SOURCE_DATE_EPOCH: String(context.lock.epoch),
          ANSIBLE_CONFIG: configuration,
          ANSIBLE_SSH_EXECUTABLE: ssh,
          ANSIBLE_SSH_TRANSFER_METHOD: 'piped',
          ANSIBLE_PIPELINING: 'True',
          ANSIBLE_REMOTE_TEMP: '/tmp/ansible',
          ANSIBLE_NOCOLOR: '1',
          ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
        },
        timeoutMs: PROVISION_TIMEOUT_MS,
        signal: context.signal,
      }),
    );
  } finally {
    await rm(home, {recursive: true, force: true});
  }
}

async function provisioned(what: string, run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof ExecError) || error.code !== 'failed') throw error;
    const {stdout, stderr, code} = error.result;
    if (code === 127 && /ansible-playbook: not found/.test(stderr)) {
      throw new ImageError('tool-missing', 'ansible-playbook is not installed', {
        remedy: 'install the package ansible-core',
        cause: error,
      });
    }
    // Ansible reports failed tasks on standard output.
    const lines = `${stdout}\n${stderr}`.split('\n').filter(line => line.trim() !== '');
    const reason = lines.findLast(line => /^fatal:|ERROR!/.test(line)) ?? lines.at(-1) ?? error.message;
    throw new ImageError('step-failed', `${what} failed: ${reason.slice(0, 400)}`, {cause: error});
  }
}
