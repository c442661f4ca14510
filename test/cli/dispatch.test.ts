import test from 'ava';
import type {Command} from '../../services/common/command.ts';
import {resolveRequest} from '../../services/cli/dispatch.ts';
import type {Part} from '../../services/cli/dispatch.ts';
import {CliError} from '../../services/cli/errors.ts';

const make: Command = {
  name: 'thing make',
  summary: 'make a thing',
  usage: 'NAME',
  arguments: {min: 1, max: 1},
  flags: [{name: 'size', short: 's', type: 'integer', default: 3, env: 'THING_SIZE', summary: 'how large'}],
  run: () => Promise.resolve(0),
};
const list: Command = {
  ...make,
  name: 'thing ls',
  summary: 'list things',
  arguments: {min: 0, max: 0},
  flags: [],
};
const other: Command = {...list, name: 'other show', summary: 'belongs to another word of the same table'};

function parts(): {list: Part[]; loaded: string[]} {
  const loaded: string[] = [];
  const load = (word: string) => () => {
    loaded.push(word);
    return Promise.resolve([make, list, other]);
  };
  return {
    loaded,
    list: [
      {word: 'thing', summary: 'things', load: load('thing')},
      {word: 'other', summary: 'others', load: load('other')},
    ],
  };
}

async function text(argv: string[]): Promise<string> {
  const request = await resolveRequest(parts().list, '1.2.3', argv, {});
  return request.kind === 'text' ? request.text : `runs ${request.command.name}`;
}

test('help, by each of its spellings', async t => {
  const top = await text([]);
  t.regex(top, /thing\s+things/);
  t.is(await text(['--help']), top);
  t.is(await text(['-h']), top);
  t.is(await text(['help']), top);
  const part = await text(['thing']);
  t.regex(part, /thing make\s+make a thing/);
  t.notRegex(part, /other show/);
  t.is(await text(['thing', '--help']), part);
  t.is(await text(['help', 'thing']), part);
  const command = await text(['thing', 'make', '--help']);
  t.regex(command, /Usage: hawser thing make \[FLAGS\] NAME/);
  t.regex(command, /-s, --size N\s+how large \(default 3, THING_SIZE\)/);
  t.is(await text(['help', 'thing', 'make']), command);
  t.is(await text(['--help', 'thing', 'make']), command);
  t.is(await text(['--version']), 'hawser 1.2.3');
});

test('the version is asked for in front of everything; behind a command the word is a flag of its own', async t => {
  const {list: known} = parts();
  await t.throwsAsync(resolveRequest(known, '1.2.3', ['thing', 'make', 'x', '--version', '2'], {}), {
    message: /version/,
  });
});

test('no table is loaded for the help of all', async t => {
  const {list: known, loaded} = parts();
  await resolveRequest(known, '1', ['--help'], {});
  t.deepEqual(loaded, []);
  await resolveRequest(known, '1', ['thing', 'ls'], {});
  t.deepEqual(loaded, ['thing']);
});

test('a command runs with what was parsed, and debug is seen before and behind it', async t => {
  for (const argv of [
    ['--debug', 'thing', 'make', 'x'],
    ['thing', 'make', '-D', 'x'],
  ]) {
    const request = await resolveRequest(parts().list, '1', argv, {});
    if (request.kind !== 'run') throw new Error('it does not run');
    t.is(request.command.name, 'thing make');
    t.deepEqual(request.input.args, ['x']);
    t.true(request.debug);
  }
});

test('unknown words are answered with the nearest known one', async t => {
  const first = await t.throwsAsync(text(['thnig', 'ls']), {instanceOf: CliError});
  t.is(`${first.message}: ${first.remedy}`, 'there is no command "thnig": did you mean hawser thing?');
  const second = await t.throwsAsync(text(['thing', 'mkae']), {instanceOf: CliError});
  t.is(
    `${second.message}: ${second.remedy}`,
    'there is no command "thing mkae": did you mean hawser thing make?',
  );
  // A command of another part is not offered under this one.
  await t.throwsAsync(text(['thing', 'show']), {message: /no command "thing show"/});
});
