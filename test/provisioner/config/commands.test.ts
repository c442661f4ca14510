import {chmod, mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {UsageError, type FlagValues} from '../../../services/common/command.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {configCommands} from '../../../services/provisioner/config/commands.ts';
import {IgnitionConfig} from '../../../services/provisioner/config/ignition-schema.ts';
import {captureContext, dataUrlBytes, type CapturedContext} from './support.ts';

const GOOD = 'variant: hawser\nversion: 1.0.0\nhostname: web-1\n';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-config-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

async function run(cwd: string, name: string, args: string[], flags: Record<string, string | boolean> = {}) {
  const command = configCommands.find(one => one.name === name);
  if (command === undefined) throw new UsageError('missing-argument', `no command ${name}`);
  const context: CapturedContext = captureContext(cwd);
  const values: FlagValues = new Map(Object.entries(flags));
  return {
    code: await command.run(context, {args, flags: values}),
    printed: context.printed,
    warned: context.warned,
  };
}

function filesOf(json: string | undefined): Map<string, string> {
  const config = parseJson(IgnitionConfig, json ?? '', 'the output');
  return new Map(
    config.storage?.files?.map(file => [file.path, dataUrlBytes(file.contents?.source ?? '').toString()]),
  );
}

test('validate goes through all files, prints problems to standard error and fails when one has errors', async t => {
  const cwd = await folder(t);
  await writeFile(join(cwd, 'good.yaml'), GOOD);
  await writeFile(join(cwd, 'bad.yaml'), 'variant: hawser\nversion: 1.0.0\nhostnam: a\n');
  const {code, printed, warned} = await run(cwd, 'config validate', [
    'bad.yaml',
    'missing.yaml',
    'good.yaml',
  ]);
  t.is(code, 1);
  t.deepEqual(printed, ['good.yaml: ok']);
  t.deepEqual(warned, [
    'bad.yaml:3:1: error: unknown field "hostnam" (did you mean "hostname"?)',
    'missing.yaml: error: cannot be read: no such file',
  ]);
  t.is((await run(cwd, 'config validate', ['good.yaml'])).code, 0);
});

test('warnings do not fail, unless --strict is given', async t => {
  const cwd = await folder(t);
  await writeFile(join(cwd, 'mode.yaml'), `${GOOD}storage:\n  files:\n    - {path: /etc/x, mode: 644}\n`);
  const loose = await run(cwd, 'config validate', ['mode.yaml']);
  t.is(loose.code, 0);
  t.is(loose.warned.length, 1);
  const strict = await run(cwd, 'config validate', ['mode.yaml'], {strict: true});
  t.is(strict.code, 1);
  t.deepEqual(strict.printed, []);
});

test('render prints one line of JSON, or indented JSON with --pretty', async t => {
  const cwd = await folder(t);
  await writeFile(join(cwd, 'good.yaml'), GOOD);
  const {code, printed} = await run(cwd, 'config render', ['good.yaml']);
  t.is(code, 0);
  t.is(printed.length, 1);
  t.false(printed[0]?.includes('\n'));
  t.is(filesOf(printed[0]).get('/etc/hostname'), 'web-1\n');
  const pretty = await run(cwd, 'config render', ['good.yaml'], {pretty: true});
  t.deepEqual(JSON.parse(pretty.printed[0] ?? ''), JSON.parse(printed[0] ?? ''));
  t.true(pretty.printed[0]?.includes('\n  "ignition"'));
});

test('render of a bad config prints problems and no JSON', async t => {
  const cwd = await folder(t);
  await writeFile(join(cwd, 'bad.yaml'), 'variant: hawser\n');
  const {code, printed} = await run(cwd, 'config render', ['bad.yaml']);
  t.is(code, 1);
  t.deepEqual(printed, []);
});

test('a file that is not UTF-8 is refused', async t => {
  const cwd = await folder(t);
  await writeFile(join(cwd, 'latin.yaml'), Uint8Array.from([0x61, 0x3a, 0x20, 0xe9]));
  const {code, warned} = await run(cwd, 'config validate', ['latin.yaml']);
  t.is(code, 1);
  t.deepEqual(warned, ['latin.yaml: error: cannot be read: it is not UTF-8 text']);
});

test('local files and trees come from the files directory; links and modes of a tree are kept', async t => {
  const cwd = await folder(t);
  await mkdir(join(cwd, 'files/tree/bin'), {recursive: true});
  await writeFile(join(cwd, 'files/motd'), 'hello\n');
  await writeFile(join(cwd, 'files/tree/bin/run'), '#!/bin/sh\n');
  await chmod(join(cwd, 'files/tree/bin/run'), 0o755);
  await symlink('run', join(cwd, 'files/tree/bin/alias'));
  await symlink('motd', join(cwd, 'files/inside'));
  await writeFile(
    join(cwd, 'c.yaml'),
    `${GOOD}storage:\n  trees:\n    - {local: tree, path: /opt}\n  files:\n    - {path: /etc/motd, contents: {local: inside}}\n`,
  );
  const {code, printed, warned} = await run(cwd, 'config render', ['c.yaml'], {'files-dir': 'files'});
  t.is(code, 0, warned.join('\n'));
  const config = parseJson(IgnitionConfig, printed[0] ?? '', 'the output');
  t.is(filesOf(printed[0]).get('/etc/motd'), 'hello\n');
  t.is(config.storage?.files?.find(file => file.path === '/opt/bin/run')?.mode, 0o755);
  t.deepEqual(config.storage?.links, [{path: '/opt/bin/alias', target: 'run'}]);
});

test('nothing outside of the files directory is read, whether by "..", absolute path or link', async t => {
  const cwd = await folder(t);
  await mkdir(join(cwd, 'files/tree'), {recursive: true});
  await writeFile(join(cwd, 'secret'), 'do not read\n');
  await symlink('../secret', join(cwd, 'files/link'));
  await symlink('..', join(cwd, 'files/up'));
  const locals = ['../secret', '/etc/passwd', 'link', 'up/secret', 'tree/../../secret'];
  const files = locals.map((local, index) => `    - {path: /etc/${index}, contents: {local: "${local}"}}\n`);
  await writeFile(
    join(cwd, 'c.yaml'),
    `${GOOD}storage:\n  trees:\n    - local: up\n  files:\n${files.join('')}`,
  );
  const {code, printed, warned} = await run(cwd, 'config render', ['c.yaml'], {'files-dir': 'files'});
  t.is(code, 1);
  t.deepEqual(printed, []);
  t.deepEqual(
    warned.map(line => Number(/^c\.yaml:(\d+):/u.exec(line)?.[1])),
    [6, 8, 9, 10, 11, 12],
  );
  t.true(
    warned.every(line => /files directory/u.test(line)),
    warned.join('\n'),
  );
});

test('a missing local file is reported where it is named, a missing files directory by its name', async t => {
  const cwd = await folder(t);
  await mkdir(join(cwd, 'files'));
  await writeFile(
    join(cwd, 'c.yaml'),
    `${GOOD}storage:\n  files:\n    - {path: /etc/a, contents: {local: none}}\n`,
  );
  const {warned} = await run(cwd, 'config validate', ['c.yaml'], {'files-dir': 'files'});
  t.deepEqual(warned, ['c.yaml:6:40: error: "none" cannot be read (no such file)']);
  const missing = await run(cwd, 'config validate', ['c.yaml'], {'files-dir': 'nowhere'});
  t.is(missing.code, 1);
  t.regex(missing.warned[0] ?? '', /the files directory .* cannot be read/u);
});
