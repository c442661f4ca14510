import test from 'ava';
import * as fc from 'fast-check';
import {UsageError} from '../../services/common/command.ts';
import type {Command, CommandInput, Flag} from '../../services/common/command.ts';
import {parseArguments} from '../../services/cli/parse.ts';

const flags: readonly Flag[] = [
  {name: 'driver', short: 'd', type: 'string', env: 'T_DRIVER', default: 'qemu', summary: ''},
  {name: 'force', short: 'f', type: 'boolean', env: 'T_FORCE', summary: ''},
  {name: 'yes', short: 'y', type: 'boolean', summary: ''},
  {name: 'memory', short: 'm', type: 'integer', env: 'T_MEMORY', summary: ''},
  {name: 'label', short: 'l', type: 'list', env: 'T_LABELS', summary: ''},
];

function command(over: Partial<Command> = {}): Command {
  return {
    name: 'part do',
    summary: '',
    arguments: {min: 0, max: 9},
    flags,
    run: () => Promise.resolve(0),
    ...over,
  };
}

function flat(input: CommandInput): unknown {
  return {args: input.args, flags: Object.fromEntries(input.flags)};
}

const parses = test.macro({
  exec(
    t,
    words: string[],
    args: string[],
    expected: Record<string, unknown>,
    env: Record<string, string> = {},
  ) {
    t.deepEqual(flat(parseArguments(command(), words, env)), {args, flags: {driver: 'qemu', ...expected}});
  },
  title: (_, words) => `reads ${JSON.stringify(words)}`,
});

test(parses, [], [], {});
test(parses, ['a', 'b'], ['a', 'b'], {});
test(parses, ['--driver', 'x', 'a'], ['a'], {driver: 'x'});
test(parses, ['--driver=x=y'], [], {driver: 'x=y'});
test(parses, ['--driver='], [], {driver: ''});
test(parses, ['-d', 'x'], [], {driver: 'x'});
test(parses, ['-dx'], [], {driver: 'x'});
test(parses, ['-d=x'], [], {driver: 'x'});
test(parses, ['-fy', 'a'], ['a'], {force: true, yes: true});
test(parses, ['-fm', '3'], [], {force: true, memory: 3});
test(parses, ['--force', 'a'], ['a'], {force: true});
test(parses, ['--force=false'], [], {force: false});
test(parses, ['--memory', '-5'], [], {memory: -5});
test(parses, ['-l', 'a', '--label=b', '-lc'], [], {label: ['a', 'b', 'c']});
test(parses, ['--', '--force', '-x'], ['--force', '-x'], {});
test(parses, ['a', '-', 'b'], ['a', '-', 'b'], {});
test(parses, ['a', '--force', 'b'], ['a', 'b'], {force: true});

test('a flag wins over its environment variable, which wins over the default', t => {
  const env = {T_DRIVER: 'fromenv', T_MEMORY: '7', T_FORCE: '1', T_LABELS: 'a, b,'};
  const expected = {driver: 'fromenv', memory: 7, force: true, label: ['a', 'b']};
  t.deepEqual(flat(parseArguments(command(), [], env)), {args: [], flags: expected});
  t.is(parseArguments(command(), ['--driver', 'given'], env).flags.get('driver'), 'given');
  t.is(parseArguments(command(), ['--force=no'], env).flags.get('force'), false);
  t.is(parseArguments(command(), [], {T_DRIVER: ''}).flags.get('driver'), 'qemu');
});

const refuses = test.macro({
  exec(
    t,
    words: string[],
    code: UsageError['code'],
    pattern: RegExp,
    env: Record<string, string> = {},
    over: Partial<Command> = {},
  ) {
    const error = t.throws(() => parseArguments(command(over), words, env), {instanceOf: UsageError});
    t.is(error.code, code);
    t.regex(`${error.message}: ${error.remedy}`, pattern);
  },
  title: (given, words) => `${given ?? ''} refuses ${JSON.stringify(words)}`.trim(),
});

test(refuses, ['--drivr', 'x'], 'unknown-flag', /did you mean --driver\?/);
test(refuses, ['--nothing-alike'], 'unknown-flag', /see hawser part do --help/);
test(refuses, ['-x'], 'unknown-flag', /no flag -x/);
test(refuses, ['--driver'], 'bad-value', /--driver needs a value/);
test(refuses, ['-m'], 'bad-value', /-m needs a value/);
test(refuses, ['--memory', '1.5'], 'bad-value', /whole number/);
test(refuses, ['--memory', '12345678901234567'], 'bad-value', /whole number/);
test(refuses, ['--force=perhaps'], 'bad-value', /true or false/);
test('a bad environment value', refuses, [], 'bad-value', /T_MEMORY is "lots"/, {T_MEMORY: 'lots'});
test(
  'too few',
  refuses,
  [],
  'missing-argument',
  /hawser part do NAME/,
  {},
  {arguments: {min: 1, max: 1}, usage: 'NAME'},
);
test(
  'too many',
  refuses,
  ['a', 'b'],
  'extra-argument',
  /does not take "b"/,
  {},
  {arguments: {min: 1, max: 1}},
);

test('a pass-through command leaves everything behind its first argument untouched', t => {
  const through = command({passThrough: true});
  t.deepEqual(parseArguments(through, ['-f', 'web', 'ls', '-l', '--', '--force', '--help'], {}).args, [
    'web',
    'ls',
    '-l',
    '--',
    '--force',
    '--help',
  ]);
  t.is(parseArguments(through, ['web', '--help'], {}).flags.get('help'), undefined);
});

test('help needs no arguments', t => {
  t.is(parseArguments(command({arguments: {min: 2, max: 2}}), ['--help'], {}).flags.get('help'), true);
});

test('whatever a value holds, it arrives as it was written', t => {
  fc.assert(
    fc.property(fc.string(), value => {
      const long = parseArguments(command(), [`--driver=${value}`], {}).flags.get('driver');
      const spaced = parseArguments(command(), ['--driver', value], {}).flags.get('driver');
      t.is(long, value);
      t.is(spaced, value);
      t.deepEqual(parseArguments(command(), ['--', value], {}).args, [value]);
    }),
  );
});

test('words never crash the parser: they parse, or a UsageError says why', t => {
  const word = fc.oneof(
    fc.string(),
    fc.string().map(text => `--${text}`),
    fc.string().map(text => `-${text}`),
  );
  fc.assert(
    fc.property(fc.array(word, {maxLength: 6}), words => {
      try {
        parseArguments(command({arguments: {min: 0, max: 99}}), words, {});
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
    }),
  );
  t.pass();
});
