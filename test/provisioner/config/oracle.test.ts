/**
 * What we render, Debian's own Ignition accepts. Runs where HAWSER_IGNITION_VALIDATE names its ignition-validate
 * (package `ignition` of Debian 13).
 */
import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import * as fc from 'fast-check';
import {exec} from '../../../services/common/exec.ts';
import {gzip, translateWithFiles} from '../../../services/provisioner/config/adapters/local-files.ts';
import {renderConfig, type IgnitionConfig} from '../../../services/provisioner/config/ignition.ts';
import {machineConfig} from '../../../services/provisioner/config/machine-config.ts';
import {translate} from '../../../services/provisioner/config/translate.ts';
import {baseConfig, mutatedText} from './arbitraries.ts';
import {fixture, fixtureNames, fixtures} from './support.ts';

const validator = process.env['HAWSER_IGNITION_VALIDATE'];

function oracle(title: string, run: (t: ExecutionContext, validator: string) => Promise<void>): void {
  test(title, async t => {
    if (validator !== undefined && validator !== '') return await run(t, validator);
    t.log('SKIPPED: set HAWSER_IGNITION_VALIDATE to the ignition-validate of Debian 13');
    t.pass();
  });
}

async function complaint(program: string, json: string): Promise<string> {
  const result = await exec([program, '-'], {timeoutMs: 20_000, input: json, okCodes: [0, 1]});
  return result.code === 0 ? '' : `${result.stdout}${result.stderr}`.trim();
}

function config(base: Record<string, unknown>): IgnitionConfig {
  const text = JSON.stringify({variant: 'flatcar', version: '1.0.0', ...base});
  const result = translate(text, {fileName: 'x', gzip});
  if (result.ignition === undefined) throw new Error(JSON.stringify(result.report));
  return result.ignition;
}

oracle("Debian's Ignition accepts every config of the fixtures", async (t, program) => {
  const filesDir = fileURLToPath(new URL('files/', fixtures));
  for (const name of await fixtureNames('butane', /\.yaml$/u)) {
    const result = await translateWithFiles(await fixture(`butane/${name}`), {fileName: name, filesDir});
    t.truthy(result.ignition, name);
    if (result.ignition !== undefined)
      t.is(await complaint(program, renderConfig(result.ignition)), '', name);
  }
});

oracle(
  "Debian's Ignition accepts the example of the README, as a machine's whole config too",
  async (t, program) => {
    const readme = await readFile(
      new URL('../../../services/provisioner/config/README.md', import.meta.url),
      'utf8',
    );
    const example = /```yaml\n(?<yaml>variant: hawser[\s\S]*?)```/u.exec(readme)?.groups?.['yaml'] ?? '';
    const {ignition} = translate(example, {fileName: 'README.md', gzip});
    const machine = machineConfig({
      hostname: 'web-1',
      user: 'core',
      sshAuthorizedKeys: [],
      enrolment: {
        machine: crypto.randomUUID(),
        name: 'web-1',
        generation: 1,
        token: 'A'.repeat(43),
        expires: 1,
      },
      operatorConfig: ignition,
    });
    t.truthy(ignition);
    t.is(await complaint(program, renderConfig(machine)), '');
  },
);

oracle("Debian's Ignition accepts what any valid config is translated to", async (t, program) => {
  await fc.assert(
    fc.asyncProperty(baseConfig, async base => {
      t.is(await complaint(program, renderConfig(config(base))), '');
    }),
    {numRuns: 60},
  );
});

oracle("Debian's Ignition accepts whatever broken config we let through", async (t, program) => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(
      baseConfig,
      fc.array(mutatedText, {minLength: 12, maxLength: 12}),
      async (base, mutations) => {
        for (const mutate of mutations) {
          const {ignition} = translate(mutate(renderConfig(config(base))), {fileName: 'x'});
          if (ignition === undefined) continue;
          accepted += 1;
          t.is(await complaint(program, renderConfig(ignition)), '');
        }
      },
    ),
    {numRuns: 40},
  );
  t.true(accepted > 20, `only ${accepted} got through`);
});
