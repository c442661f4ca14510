/** A machine in a folder, on which the bundled `hawser-enrol` runs as a process of its own. */
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import process from 'node:process';
import type {ExecutionContext} from 'ava';
import {build} from 'esbuild';
import type {EnrolmentConfig} from '../../services/common/contracts/enrolment.ts';
import {exec, type ExecResult} from '../../services/common/exec.ts';
import {layoutUnder, type Layout} from '../../services/enrol-agent/layout.ts';
import {HOST_KEY, tempFolder} from '../provisioner/enrolment/support.ts';

/** Bundles the agent as the image does: one file, no packages beside it. */
export async function bundleAgent(folder: string): Promise<string> {
  const outfile = join(folder, 'enrol-agent.mjs');
  await build({
    entryPoints: [new URL('../../services/enrol-agent/main.ts', import.meta.url).pathname],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

export interface TestMachine {
  readonly root: string;
  readonly layout: Layout;
  /** Runs `hawser-enrol` with these arguments; any exit code is fine. */
  readonly run: (args: readonly string[], input?: string) => Promise<ExecResult>;
  readonly read: (path: string) => Promise<string>;
}

export async function bootMachine(
  t: ExecutionContext,
  bundle: string,
  config?: EnrolmentConfig,
  hostKey: string | undefined = HOST_KEY,
): Promise<TestMachine> {
  const root = await tempFolder(t);
  const layout = layoutUnder(root);
  await mkdir(join(root, 'etc/ssh'), {recursive: true});
  await mkdir(join(root, 'etc/hawser'), {recursive: true});
  if (hostKey !== '') await writeFile(layout.sshHostKey, `${hostKey} root@machine\n`);
  if (config !== undefined) await writeFile(layout.config, JSON.stringify(config), {mode: 0o600});
  return {
    root,
    layout,
    read: path => readFile(path, 'utf8'),
    run: (args, input = '') =>
      exec([process.execPath, bundle, ...args, '--root', root], {timeoutMs: 60_000, okCodes: [0, 1], input}),
  };
}
