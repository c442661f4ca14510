/** The reconciler's adapter on the real kernel: devices, routes and rows, however they were broken. */
import {join} from 'node:path';
import test from 'ava';
import {exec} from '../../services/common/exec.ts';

interface Settled {
  readonly rounds: number;
  readonly failures: readonly string[];
}

const root = process.getuid?.() === 0 ? test : test.skip;
root('brought up in one round, and brought back in one round whatever was taken away', async t => {
  const {stdout} = await exec(
    ['unshare', '--mount', '--net', process.execPath, join(import.meta.dirname, 'support/one-host.ts')],
    {timeoutMs: 60_000},
  );
  const {['namespaces at the end']: left, ...rounds} = JSON.parse(stdout) as Record<string, Settled> & {
    'namespaces at the end': unknown;
  };
  t.is(left, 'stranger', 'what is not ours is left alone');
  for (const [what, {rounds: count, failures}] of Object.entries(rounds)) {
    t.deepEqual(failures, [], what);
    t.is(count, what === 'with a port' ? 0 : 1, what);
  }
});
