/** What a machine believes when clocks, disks and mirrors are not as they should be. */
import {createServer} from 'node:http';
import {cp, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import test from 'ava';
import {build} from 'esbuild';
import {TrustError} from '../../../services/common/tuf/errors.ts';
import {folderSource, httpSource, type RepositorySource} from '../../../services/common/tuf/source.ts';
import {refreshRepository} from '../../../services/update-server/releases/refresh.ts';
import {rotateKeys} from '../../../services/update-server/releases/rotate.ts';
import {openTrust} from '../../../services/update-agent/trust/trust.ts';
import {machine} from '../../update-server/releases/clients.ts';
import {bench, DAY, START} from '../../update-server/releases/support.ts';

const at = (days: number) => new Date(START.getTime() + days * DAY);

test('a clock days ahead still believes what is signed every day; weeks ahead it says what is wrong', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  t.deepEqual(await (await machine(b, {now: () => at(5)})).versions(), ['1.0.0']);
  const ahead = await machine(b, {now: () => at(30)});
  await t.throwsAsync(ahead.versions(), {code: 'metadata-expired', message: /expired/});
  // The clock is mended: nothing of the wrong time was kept.
  const repaired = await machine(b);
  t.deepEqual(await repaired.versions(), ['1.0.0']);
});

test('a clock that fell back to 1970 does not make frozen metadata fresh', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  let clock = at(0);
  const m = await machine(b, {now: () => clock});
  await m.versions();
  const frozen = join(b.home, 'frozen');
  await cp(b.repository, frozen, {recursive: true});
  // A month later this machine saw what was signed then ...
  b.time.now = clock = at(30);
  await refreshRepository(b);
  t.deepEqual(await m.versions(), ['1.0.0']);
  // ... and its clock lost its time since: still it knows that the month is over.
  clock = new Date(0);
  t.deepEqual(await m.versions(), ['1.0.0']);
  b.time.now = at(30);
  const stale = await machine(b, {
    now: () => clock,
    notBefore: at(20),
    repositories: [folderSource(frozen)],
  });
  await t.throwsAsync(
    stale.versions(),
    {code: 'metadata-expired'},
    'the build time of the image is the least',
  );
});

test('a stolen timestamp key cannot move clocks for ever', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const m = await machine(b);
  const thief = b.with({now: () => at(3000)});
  await refreshRepository(thief, {force: true});
  b.time.now = at(1);
  t.deepEqual(await m.versions(), ['1.0.0']);
  b.time.now = at(2);
  // The floor is now in the far future; root and targets are long expired then.
  await t.throwsAsync(m.versions(), {code: 'metadata-expired'});
  await rotateKeys(b, {role: 'snapshot'});
  await rotateKeys(b, {role: 'timestamp'});
  t.deepEqual(await m.versions(), ['1.0.0']);
});

test('a mirror that is stale, down or evil is passed over; when all fail, the gravest failure is told', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const stale = join(b.home, 'stale');
  await cp(b.repository, stale, {recursive: true});
  b.time.now = at(20);
  await b.publish('1.1.0');
  const down: RepositorySource = {
    name: 'http://192.0.2.1/',
    read: () => Promise.reject(new TrustError('unreachable', 'http://192.0.2.1/ does not answer')),
  };
  const m = await machine(b, {repositories: [down, folderSource(stale), folderSource(b.repository)]});
  const trust = await m.open();
  t.deepEqual(
    trust.problems.map(({code}) => code),
    ['unreachable', 'metadata-expired'],
  );
  t.is(trust.source.name, b.repository);
  t.truthy(await trust.manifest('1.1.0'));

  const worst = await machine(b, {repositories: [down, folderSource(stale)]});
  const error = await t.throwsAsync(worst.versions(), {code: 'metadata-expired'});
  t.regex(error.message, /none of 2 repositories/);
  await t.throwsAsync((await machine(b, {repositories: [down]})).versions(), {code: 'unreachable'});
  await t.throwsAsync((await machine(b, {repositories: []})).versions(), {code: 'unreachable'});
});

test('a mirror that is half copied leaves no trace', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const m = await machine(b);
  await m.versions();
  const good = join(b.home, 'good');
  await cp(b.repository, good, {recursive: true});
  await b.publish('1.1.0');
  for (const name of await readdir(join(b.repository, 'metadata')))
    if (name.endsWith('.targets.json')) await rm(join(b.repository, 'metadata', name));
  const {folder} = m;
  const options = {root: b.firstRoot, folder, now: () => b.time.now};
  await t.throwsAsync(openTrust({...options, repositories: [folderSource(b.repository)]}), {
    code: 'not-found',
  });
  const trust = await openTrust({...options, repositories: [folderSource(good)]});
  t.deepEqual(
    trust.releases().map(({version}) => version),
    ['1.0.0'],
  );
});

test('what is kept on disk: damage costs a download and never the trust', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  await rotateKeys(b, {role: 'root'});
  const m = await machine(b);
  await m.versions();
  for (const name of await readdir(m.folder)) {
    for (const size of [0, 100]) {
      await truncate(join(m.folder, name), size);
      t.deepEqual(await m.versions(), ['1.0.0'], `${name} cut to ${size} bytes`);
    }
  }
  await writeFile(join(m.folder, 'root.json'), '{"signed": {}, "signatures": []}');
  t.deepEqual(await m.versions(), ['1.0.0']);
});

test('a machine moves to another repository when its operator gives it another root, and by nothing else', async t => {
  const [b, other] = [await bench(t), await bench(t)];
  await b.publish('1.0.0');
  await other.publish('3.0.0');
  const m = await machine(b);
  await m.versions();
  const options = {folder: m.folder, now: () => b.time.now, repositories: [folderSource(other.repository)]};
  await t.throwsAsync(openTrust({...options, root: b.firstRoot}), {code: 'bad-signature'});
  const trust = await openTrust({...options, root: other.firstRoot});
  t.deepEqual(
    trust.releases().map(({version}) => version),
    ['3.0.0'],
  );
  await t.throwsAsync(openTrust({...options, root: Buffer.from('no root'), folder: `${m.folder}-2`}), {
    code: 'bad-root',
  });
});

test('over HTTP, from a server that knows nothing of updates', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const answers = {status: 0};
  const server = createServer((request, response) => {
    const file = answers.status === 0 ? request.url : undefined;
    if (file === undefined) response.writeHead(answers.status).end();
    else
      readFile(join(b.repository, decodeURIComponent(file))).then(
        bytes => response.end(bytes),
        () => response.writeHead(404).end(),
      );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const m = await machine(b, {repositories: [httpSource(`http://127.0.0.1:${port}`)]});
  const trust = await m.open();
  t.is((await trust.manifest('1.0.0')).version, '1.0.0');
  answers.status = 500;
  await t.throwsAsync(m.versions(), {code: 'refused', message: /HTTP 500/});
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
  await t.throwsAsync(m.versions(), {code: 'unreachable', message: /ECONNREFUSED/});
});

test('over HTTP, an answer without an end is cut off', async t => {
  const b = await bench(t);
  const server = createServer((request, response) => {
    const more = () => {
      while (response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', more);
    if (request.url?.includes('root') === true) response.writeHead(404).end();
    else more();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const m = await machine(b, {repositories: [httpSource(`http://127.0.0.1:${port}/`)]});
  await t.throwsAsync(m.versions(), {code: 'too-large'});
});

test('bundled into one file, as on the machine, it verifies', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  const outfile = join(b.home, 'agent.mjs');
  const entry = join(import.meta.dirname, '../../../services/update-agent/trust/trust.ts');
  const sources = join(import.meta.dirname, '../../../services/common/tuf/source.ts');
  const {metafile} = await build({
    stdin: {
      contents: `export {openTrust} from ${JSON.stringify(entry)}; export {folderSource} from ${JSON.stringify(sources)};`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    outfile,
    metafile: true,
    logLevel: 'silent',
    banner: {js: "import {createRequire} from 'node:module';const require=createRequire(import.meta.url);"},
  });
  t.false(Object.keys(metafile.inputs).some(path => path.includes('reflect-metadata')));
  const bundle: {openTrust: typeof openTrust; folderSource: typeof folderSource} = await import(
    pathToFileURL(outfile).href
  );
  const trust = await bundle.openTrust({
    root: b.firstRoot,
    folder: join(b.home, 'bundled'),
    repositories: [bundle.folderSource(b.repository)],
    now: () => b.time.now,
  });
  t.is((await trust.manifest('1.0.0')).version, '1.0.0');
});
