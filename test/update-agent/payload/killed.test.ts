import {spawn} from 'node:child_process';
import {join} from 'node:path';
import test from 'ava';
import {build} from 'esbuild';
import {Type} from 'typebox';
import {parseJson} from '../../../services/common/parse.ts';
import {serveRepository} from '../../support/repository-server.ts';
import {createLab, requestOf, veritysetupVerify, type Lab} from './support.ts';

let lab: Lab;
let program: string;
test.before(async () => {
  lab = await createLab();
  // As on a host: one bundle, not the sources.
  program = join(lab.folder, 'stage.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'stage-process.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: program,
    logLevel: 'silent',
  });
});
test.after.always(async () => {
  await lab[Symbol.asyncDispose]();
});

const Result = Type.Object({
  fetchedBytes: Type.Number(),
  keptBytes: Type.Number(),
  maxRssMegabytes: Type.Number(),
});

/** Runs to its end, or is killed by SIGKILL at the `killAt`-th line of progress; undefined then. */
async function stageInProcess(request: object, killAt?: number) {
  const child = spawn(process.execPath, [program, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let lines = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    lines += chunk.toString().split('\n').length - 1;
    if (killAt !== undefined && lines >= killAt) child.kill('SIGKILL');
  });
  await new Promise(resolve => child.once('close', resolve));
  return output === '' ? undefined : parseJson(Result, output, 'result');
}

test('killed at ten instants in a row, it goes on from what is in the slot, and ends with the release', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('killed');
  const request = requestOf(lab, machine, lab.second, undefined, [server.url]);
  for (let killAt = 1; killAt <= 28; killAt += 3) await stageInProcess(request, killAt);
  const result = await stageInProcess(request);
  t.true((result?.keptBytes ?? 0) > 0);
  t.true((result?.fetchedBytes ?? Number.NaN) < lab.second.manifest.fullBytes);
  await veritysetupVerify(machine, lab.second.image.rootHash);
});

test('the whole process stays small', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('memory');
  const result = await stageInProcess(requestOf(lab, machine, lab.second, lab.first, [server.url]));
  t.log(`${result?.maxRssMegabytes.toFixed(0)} MB at most`);
  t.true((result?.maxRssMegabytes ?? Number.NaN) < 150);
});
