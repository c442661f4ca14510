import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {complete, completionScript, completionShells} from '../../services/cli/completion.ts';
import type {Known} from '../../services/cli/completion.ts';
import {exec} from '../../services/common/exec.ts';
import {environmentOf, launcher} from '../support/cli.ts';

const command = (name: string, usage?: string) => ({
  name,
  summary: '',
  ...(usage === undefined ? {} : {usage}),
  arguments: {min: 0, max: 9},
  flags: [
    {name: 'driver', type: 'string', summary: ''},
    {name: 'force', type: 'boolean', summary: ''},
    {name: 'old', type: 'string', summary: '', refused: 'gone'},
  ] as const,
  run: () => Promise.resolve(0),
});
const known: Known = {
  topics: ['machine', 'image'],
  commands: [
    command('machine start', '[NAME...]'),
    command('machine status', '[NAME]'),
    command('machine ls'),
  ],
  machines: ['web', 'worker'],
};

test('what may follow', t => {
  t.deepEqual(complete([], 'm', known), ['machine']);
  t.deepEqual(complete(['machine'], 'st', known), ['start', 'status']);
  t.deepEqual(complete(['machine', 'start'], 'wo', known), ['worker']);
  t.deepEqual(complete(['machine', 'start'], '--', known), ['--debug', '--driver', '--force', '--help']);
  t.deepEqual(complete(['machine', 'start', '--driver'], '', known), []);
  t.deepEqual(complete(['machine', 'start', '--force'], '', known), ['web', 'worker']);
  t.deepEqual(complete(['machine', 'ls'], '', known), []);
  t.deepEqual(complete(['nonsense'], '', {...known, commands: []}), []);
});

test('bash really completes with it', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-completion-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  await mkdir(join(home, 'machines', 'web-1'), {recursive: true});
  const script = join(home, 'script');
  await writeFile(script, completionScript('bash', 'hawser'));
  const env = environmentOf(home);
  const ask = `. ${script}; COMP_WORDS=(hawser machine sta ""); COMP_CWORD=2; _hawser_complete; echo "\${COMPREPLY[*]}"; COMP_WORDS=(hawser machine start w); COMP_CWORD=3; _hawser_complete; echo "\${COMPREPLY[*]}"`;
  const {stdout} = await exec(['bash', '-c', ask], {
    timeoutMs: 30_000,
    env: {...env, PATH: `${dirname(launcher)}:${env['PATH'] ?? ''}`},
  });
  t.deepEqual(stdout.split('\n'), ['start status', 'web-1', '']);
});

test('each shell has a script', async t => {
  for (const shell of completionShells) {
    const {stdout} = await exec([launcher, 'completion', shell], {timeoutMs: 30_000});
    t.true(stdout.includes('hawser completion words --'));
  }
});
