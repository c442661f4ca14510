/** Which of the programs that serve as oracles are here, and folders that vanish with their test. */
import {spawnSync} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';

/** False, and a loud line in the report, when a program is missing: the test then ends without an oracle. */
export function haveTools(t: ExecutionContext, ...programs: string[]): boolean {
  const missing = programs.filter(
    program => spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status !== 0,
  );
  if (missing.length === 0) return true;
  t.log(`SKIPPED: not installed: ${missing.join(', ')}`);
  t.pass();
  return false;
}

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-formats-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

export function run(program: string, args: readonly string[], input?: string | Uint8Array): Buffer {
  const result = spawnSync(program, args, {input, maxBuffer: 1 << 28});
  if (result.status !== 0) {
    throw new Error(`${program} ${args.join(' ')}: ${String(result.error ?? result.stderr)}`);
  }
  return result.stdout;
}
