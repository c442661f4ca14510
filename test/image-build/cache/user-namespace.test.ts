import {mkdir, mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {remedyFor, renderInput} from '../../../image-build/user-namespace.ts';
import {execInRoot} from '../../../image-build/tools-root.ts';
import {parseArguments} from '../../../services/cli/parse.ts';
import type {Command} from '../../../services/common/command.ts';

const command: Command = {
  name: 'image build',
  summary: 'x',
  arguments: {min: 0, max: 9},
  flags: [
    {name: 'version', type: 'string', summary: 'x'},
    {name: 'unsigned', type: 'boolean', summary: 'x'},
    {name: 'jobs', type: 'integer', summary: 'x'},
    {name: 'format', type: 'list', summary: 'x'},
  ],
  run: async () => 0,
};

test('the arguments of the second run mean the same as those of the first', t => {
  const text = fc.string({minLength: 1, maxLength: 6});
  const words = fc.array(
    fc.oneof(
      text.map(value => [`--version=${value}`]),
      fc.constantFrom(['--unsigned'], ['--debug']),
      fc.nat(99).map(value => ['--jobs', String(value)]),
      fc.stringMatching(/^[a-z]{1,4}$/).map(value => ['--format', value]),
    ),
    {maxLength: 5},
  );
  const rest = fc.array(text, {maxLength: 3});
  fc.assert(
    fc.property(words, rest, (words, rest) => {
      const input = parseArguments(command, [...words.flat(), '--', ...rest], {});
      t.deepEqual(parseArguments(command, renderInput(input), {}), input);
    }),
  );
});

const remedies: Readonly<Record<string, readonly [string, RegExp]>> = {
  'a machine without newuidmap': [
    'unshare: failed to execute newuidmap: No such file or directory',
    /uidmap/,
  ],
  'a user without lent ids': ['unshare: no line matching user "x" in /etc/subuid', /--add-subuids/],
  'an old unshare': ["unshare: unrecognized option '--map-auto'", /util-linux 2\.38/],
  "Ubuntu's AppArmor": ['mount: /tmp: permission denied.', /apparmor_restrict_unprivileged_userns/],
  'a container': ['unshare: unshare failed: Operation not permitted', /container/],
};
for (const [name, [stderr, remedy]] of Object.entries(remedies)) {
  test(`${name} is told what to do`, t => {
    t.regex(remedyFor(stderr), remedy);
    t.regex(remedyFor(stderr), /root/);
  });
}

(process.getuid?.() === 0 ? test : test.skip)(
  'a program in a root has no network, no disk of the machine, and leaves no mount',
  async t => {
    const root = await mkdtemp(join(tmpdir(), 'hawser-tools-'));
    t.teardown(() => rm(root, {recursive: true, force: true}));
    const inside = async (script: string) =>
      (
        await execInRoot({
          root,
          where: 'host',
          binds: {},
          argv: ['sh', '-c', script, 'sh', root],
          timeoutMs: 20_000,
          signal: new AbortController().signal,
        })
      ).stdout.trim();
    await Promise.all(['proc', 'dev', 'tmp', 'run'].map(name => mkdir(join(root, name))));
    t.is(await inside('grep -c : /proc/net/dev'), '1');
    t.is(
      await inside('ls "$1/dev" | tr "\\n" " "'),
      'fd full null random shm stderr stdin stdout tty urandom zero',
    );
    t.is(await inside('umask'), '0022');
    const mounts = await readFile('/proc/self/mounts', 'utf8');
    t.false(mounts.includes(root));
  },
);
