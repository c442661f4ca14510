/** A machine's life by the operator's command, each step timed. */
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {Guests} from './guests.ts';

const launcher = join(import.meta.dirname, '../../../services/cli/hawser');

export interface Life {
  readonly env: Readonly<Record<string, string>>;
  readonly image: string;
  readonly guests: Guests;
  readonly print: (line: string) => void;
}

export async function runLife({env, image, guests, print}: Life): Promise<void> {
  const hawser = async (words: readonly string[], seconds: number) => {
    print(`$ hawser ${words.join(' ')}`);
    const started = performance.now();
    const before = guests.cpuSeconds();
    const result = await exec([launcher, ...words], {
      timeoutMs: seconds * 1000,
      env,
      onLine: line => print(`  ${line}`),
    });
    const wall = ((performance.now() - started) / 1000).toFixed(1);
    print(`  (${wall} s, emulator ${(guests.cpuSeconds() - before).toFixed(0)} CPU s)`);
    return result.stdout.trim();
  };
  const ami = await hawser(['image', 'publish', image, '--to', 'aws'], 600);
  assert.match(ami, /^ami-/);
  await hawser(['machine', 'create', 'web', '--driver', 'amazonec2', '--timeout', '900'], 1800);
  assert.match(await hawser(['machine', 'ls'], 60), /web +- +amazonec2 +Running +tcp:\/\/[\d.]+:2376/);
  assert.match(await hawser(['machine', 'ssh', 'web', 'docker', 'version'], 120), /Server/);
  // Containers have one hop more than the metadata service allows; here the emulator stands for that.
  const facts = await hawser(['machine', 'ssh', 'web', 'cat', '/sys/class/dmi/id/sys_vendor'], 120);
  assert.equal(facts, 'Amazon EC2');
  const before = await hawser(['machine', 'ip', 'web'], 60);
  await hawser(['machine', 'stop', 'web', '--grace', '300'], 600);
  assert.match(await hawser(['machine', 'status', 'web'], 60), /Stopped/);
  await hawser(['machine', 'start', 'web', '--timeout', '900'], 1200);
  const after = await hawser(['machine', 'ip', 'web'], 60);
  assert.notEqual(after, before, 'the address changes, the certificate stays valid');
  assert.match(await hawser(['machine', 'ssh', 'web', 'docker', 'info'], 120), /Server Version/);
  await hawser(['machine', 'rm', '-y', 'web'], 300);
  assert.deepEqual(await guests.left(), []);
}
