/** The commands as an operator types them, a mirror over plain HTTP, and promotion on a server that answers as ours does. */
import {createServer, type IncomingMessage} from 'node:http';
import {appendFile, chmod, mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {extname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {desk} from './desk.ts';

test('from keys to a withdrawn release', async t => {
  const {run, home} = await desk(t);
  const init = await run('release keys init --root-keys 2 --root-threshold 2 --targets-keys 1');
  t.regex(init.lines.join('\n'), /made the keys in .*release-keys/);
  t.regex(init.warnings.join('\n'), /copies/);
  t.regex((await run('release keys init')).lines.join('\n'), /there already/);
  await writeFile(join(home, 'notes.md'), 'better\n');
  t.regex((await run('release publish 1.0.0')).lines.join('\n'), /published 1\.0\.0/);
  t.regex((await run('release publish 1.0.0')).lines.join('\n'), /published already/);
  const second = await run('release publish 1.1.0 --barrier --notes notes.md');
  t.regex(
    second.lines.join('\n'),
    /since 1\.0\.0: 1 packages changed\n.*libssl3t64 3\.5\.1\.0\.0 -> 3\.5\.1\.1\.0/,
  );
  await run('release withdraw 1.0.0 --reason does_not_boot');
  const listed = JSON.parse((await run('release ls --output json')).lines.join('\n')) as {
    version: string;
    state: string;
  }[];
  t.like(listed, [{version: '1.1.0', state: 'barrier'}, {version: '1.0.0'}]);
  t.regex(listed[1]?.state ?? '', /^withdrawn .*: does not boot$/);
  t.regex((await run('release verify')).lines.join('\n'), /is whole: root 1, 1 releases, 3 payload files/);
  t.regex((await run('release refresh')).lines.join('\n'), /nothing is due/);
  t.regex(
    (await run('release refresh --offline')).lines.join('\n'),
    /signed targets, snapshot, timestamp, root/,
  );
  const keys = JSON.parse((await run('release keys ls --output json')).lines.join('\n')) as {
    trusted: boolean;
  }[];
  t.is(keys.length, 5);
  t.true(keys.every(({trusted}) => trusted));
  t.regex((await run('release keys rotate targets')).lines.join('\n'), /root 3 is published/);
  t.regex((await run('release verify')).lines.join('\n'), /root 3/);
});

test('keys sealed with a passphrase: wrong, missing, right, and asked for before the work begins', async t => {
  const {run, home} = await desk(t);
  await writeFile(join(home, 'right'), 'correct horse\n');
  await writeFile(join(home, 'wrong'), 'battery staple\n');
  await writeFile(join(home, 'empty'), '\n');
  const counts = '--root-keys 1 --root-threshold 1 --targets-keys 1';
  await run(`release keys init ${counts} --passphrase-file right`);
  for (const role of ['root', 'targets']) {
    for (const name of await readdir(join(home, 'release-keys', role)))
      t.notRegex(await readFile(join(home, 'release-keys', role, name), 'utf8'), /"private"/);
  }
  await t.throwsAsync(run('release publish 1.0.0'), {code: 'passphrase-missing'});
  await t.throwsAsync(run('release publish 1.0.0 --passphrase-file wrong'), {code: 'passphrase-wrong'});
  await t.throwsAsync(run('release publish 1.0.0 --passphrase-file empty'), {code: 'passphrase-missing'});
  t.false((await readdir(join(home, 'repository'))).includes('payloads'));
  await run('release publish 1.0.0 --passphrase-file right');
  // The server's part needs no person.
  t.regex((await run('release refresh --force')).lines.join('\n'), /signed snapshot, timestamp/);
  await t.throwsAsync(run('release keys rotate root'), {code: 'passphrase-missing'});
  await run('release keys rotate root --passphrase-file right');
});

test('offline keys in several folders: those that are plugged in sign', async t => {
  const {run, home} = await desk(t);
  await run(
    'release keys init --keys stick-a --root-keys 2 --root-threshold 2 --targets-keys 2 --targets-threshold 2',
  );
  const names = await readdir(join(home, 'stick-a', 'targets'));
  await mkdir(join(home, 'stick-b', 'targets'), {recursive: true});
  await rename(
    join(home, 'stick-a', 'targets', names[0] ?? ''),
    join(home, 'stick-b', 'targets', names[0] ?? ''),
  );
  await t.throwsAsync(run('release publish 1.0.0 --keys stick-a'), {code: 'not-enough-keys'});
  await run('release publish 1.0.0 --keys stick-a --keys stick-b');
  await chmod(join(home, 'stick-b', 'targets', names[0] ?? ''), 0o644);
  await t.throwsAsync(run('release publish 1.1.0 --keys stick-a --keys stick-b'), {
    code: 'keys-readable-by-others',
  });
});

test('what is not there is said, with the remedy', async t => {
  const {run, home} = await desk(t);
  await t.throwsAsync(run('release publish 1.0.0'), {code: 'no-repository'});
  await t.throwsAsync(run('release ls'), {code: 'no-repository'});
  await t.throwsAsync(run('release verify'), {code: 'no-trusted-root'});
  await t.throwsAsync(run('release keys init --root-keys 1 --root-threshold 2'), {code: 'bad-threshold'});
  await run('release keys init');
  await t.throwsAsync(run('release keys rotate everything'), {code: 'bad-value'});
  await t.throwsAsync(run('release keys init --root-keys 0'), {code: 'bad-value'});
  await t.throwsAsync(run('release publish 1.0.0 --timestamp-days 0'), {code: 'bad-value'});
  await t.throwsAsync(run('release promote 1.0.0'), {code: 'no-server'});
  const other = join(home, 'other');
  await run('release keys init --repository other --keys other-offline');
  await t.throwsAsync(run('release publish 1.0.0 --repository other'), {code: 'foreign-repository'});
  await rm(other, {recursive: true});
  await t.throwsAsync(run('release keys init --repository other --keys other-offline'), {code: 'keys-exist'});
});

async function serve(t: ExecutionContext, folder: string): Promise<string> {
  const server = createServer((request, response) => {
    readFile(join(folder, decodeURIComponent(request.url ?? ''))).then(
      bytes => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}

test('a mirror is a copy: fetched from any web server, proven, extended, and mirrored again', async t => {
  const {run, home} = await desk(t);
  await run('release keys init');
  await run('release publish 1.0.0');
  await run('release keys rotate root');
  const url = await serve(t, join(home, 'repository'));
  t.regex((await run(`release mirror ${url} --to mirror`)).lines.join('\n'), /holds 1 releases/);
  await run('release verify mirror');
  await run('release publish 1.1.0');
  await run(`release mirror ${url} --to mirror`);
  await run('release mirror mirror --to mirror-of-mirror');
  t.regex(
    (await run('release verify mirror-of-mirror')).lines.join('\n'),
    /root 2, 2 releases, 6 payload files/,
  );
});

test('a mirror takes nothing that is damaged, foreign or older than what it has', async t => {
  const {run, home} = await desk(t);
  await run('release keys init');
  await run('release publish 1.0.0');
  await run('release mirror repository --to yesterday');
  await run('release publish 1.1.0');
  await run('release mirror repository --to mirror');
  await t.throwsAsync(run('release mirror yesterday --to mirror'), {code: 'rollback'});

  const payloads = join(home, 'repository', 'payloads');
  for (const name of await readdir(payloads))
    if (extname(name) === '.data') await appendFile(join(payloads, name), 'x');
  await t.throwsAsync(run('release mirror repository --to fresh'), {code: 'too-large'});
  t.deepEqual((await readdir(join(home, 'fresh'))).includes('metadata'), false, 'no client sees any of it');
  await t.throwsAsync(run('release verify'), {code: 'mismatch'});
  await t.notThrowsAsync(run('release verify mirror'));

  await run('release keys init --repository foreign --keys foreign-keys');
  await t.throwsAsync(run('release mirror foreign --to mirror'), {code: 'bad-signature'});
  await t.throwsAsync(run('release mirror http://127.0.0.1:1 --to mirror'), {code: 'unreachable'});
  await t.throwsAsync(run('release mirror mirror'), {code: 'missing-argument'});
});

test('promotion tells the server what is signed, makes the channel, and carries a channel into another', async t => {
  const {run} = await desk(t);
  await run('release keys init');
  await run('release publish 1.0.0');
  const calls: string[] = [];
  const channels = new Map<string, {name: string; promotion?: {version: string}}>();
  const body = async (request: IncomingMessage): Promise<Record<string, unknown>> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}') as never;
  };
  const server = createServer((request, response) => {
    void body(request).then(sent => {
      const [, , kind = '', name = '', verb = ''] = (request.url ?? '').split('/');
      if (request.headers.authorization !== 'Bearer secret')
        return response.writeHead(401).end('{"kind":"unauthenticated","message":"who are you"}');
      if (request.method !== 'GET') calls.push(`${request.method} ${request.url} ${JSON.stringify(sent)}`);
      if (kind === 'channels' && request.method === 'PUT') channels.set(name, {name});
      if (verb === 'promote') channels.set(name, {name, promotion: {version: String(sent['version'])}});
      return response.end(JSON.stringify(request.method === 'GET' ? {channels: [...channels.values()]} : {}));
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const HAWSER_SERVER = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const env = {HAWSER_SERVER, HAWSER_TOKEN: 'secret'};
  t.regex((await run('release promote 1.0.0 --channel beta', env)).lines.join('\n'), /beta offers 1\.0\.0/);
  t.regex(calls[0] ?? '', /^PUT \/v1\/releases\/1\.0\.0 .*"barrier":false/);
  t.deepEqual(calls.slice(1), [
    'PUT /v1/channels/beta {}',
    'POST /v1/channels/beta/promote {"version":"1.0.0"}',
  ]);
  await run('release promote --from-channel beta --channel stable', env);
  t.is(channels.get('stable')?.promotion?.version, '1.0.0');
  t.regex((await run('release ls', env)).lines.join('\n'), /beta,stable/);
  await t.throwsAsync(run('release promote 9.0.0', env), {code: 'no-such-release'});
  await t.throwsAsync(run('release promote', env), {code: 'missing-argument'});
  await t.throwsAsync(run('release promote --from-channel empty', env), {code: 'no-such-release'});
  await t.throwsAsync(run('release promote 1.0.0', {...env, HAWSER_TOKEN: 'guess'}), {
    code: 'server-refused',
    message: /who are you/,
  });
  await t.throwsAsync(run('release promote 1.0.0', {...env, HAWSER_SERVER: 'http://127.0.0.1:1'}), {
    code: 'server-unreachable',
  });
  await t.throwsAsync(run('release promote 1.0.0', {...env, HAWSER_SERVER: 'http://192.0.2.1'}), {
    code: 'no-server',
  });
  const offline = await run('release ls', {...env, HAWSER_SERVER: 'http://127.0.0.1:1'});
  t.regex(offline.warnings.join('\n'), /channels are not shown/);
  t.regex(offline.lines.join('\n'), /1\.0\.0/);
  await run('release withdraw 1.0.0 --reason bad', env);
  t.is(calls.at(-1), 'POST /v1/releases/1.0.0/withdraw {"reason":"bad"}');
});
