import {createHash, randomBytes} from 'node:crypto';
import {mkdtemp, readdir, readFile, rm, utimes, writeFile} from 'node:fs/promises';
import {createServer, type RequestListener} from 'node:http';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import {fetchPackages} from '../../../image-build/packages/fetch.ts';
import {openStore, type StoreItem, type StoreOptions} from '../../../image-build/packages/store.ts';
import {exec} from '../../../services/common/exec.ts';
import {silentProgress} from '../../../services/common/progress.ts';

const signal = new AbortController().signal;
const content = randomBytes(200_000);
const sha256 = createHash('sha256').update(content).digest('hex');

/** A server on loopback; gives its address and counts what it was asked for. */
async function serve(
  t: ExecutionContext,
  listener: RequestListener,
): Promise<{url: string; asked: () => number}> {
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    listener(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return {url: `http://127.0.0.1:${address.port}`, asked: () => count};
}

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-store-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

function item(url: string): StoreItem {
  return {what: 'hello 1.0', url: `${url}/hello.deb`, sha256, size: content.length};
}

async function files(path: string): Promise<string[]> {
  const entries = await readdir(path, {recursive: true, withFileTypes: true});
  return entries.filter(entry => entry.isFile()).map(entry => entry.name);
}

const fast = {retryDelayMs: 1, stallMs: 10_000};

test('what is fetched is kept under its hash, and not asked for again', async t => {
  const path = await folder(t);
  const {url, asked} = await serve(t, (_, response) => void response.end(content));
  const store = openStore(path, fast);
  t.false(await store.has(sha256));
  t.deepEqual(await store.fetch(item(url), signal), {fetched: content.length});
  t.deepEqual(await store.fetch(item(url), signal), {fetched: 0});
  t.is(asked(), 1);
  t.true(await store.has(sha256));
  t.true(content.equals(await readFile(store.path(sha256))));
  await store.verify(sha256, 'hello');
});

const failing = test.macro({
  title: (title = '') => `${title}, and nothing is kept`,
  exec: async (
    t,
    listener: RequestListener,
    code: ImageError['code'],
    requests: number,
    options: StoreOptions = fast,
  ) => {
    const path = await folder(t);
    const {url, asked} = await serve(t, listener);
    const error = await t.throwsAsync(openStore(path, options).fetch(item(url), signal), {
      instanceOf: ImageError,
    });
    t.is(error?.code, code, error?.message);
    t.true(error?.message.includes('hello 1.0'));
    t.truthy(error?.remedy);
    t.is(asked(), requests);
    t.deepEqual(await files(path), []);
  },
});

test(
  'other bytes are a hash mismatch, not tried again',
  failing,
  (_, response) => void response.end(randomBytes(content.length)),
  'hash-mismatch',
  1,
);
test(
  'more bytes than promised are a hash mismatch',
  failing,
  (_, response) => void response.end(Buffer.concat([content, content])),
  'hash-mismatch',
  1,
);
test(
  'a file that is gone (404) is package-gone, not tried again',
  failing,
  (_, response) => void response.writeHead(404).end('gone'),
  'package-gone',
  1,
);
test(
  'a file that is gone (410) is package-gone',
  failing,
  (_, response) => void response.writeHead(410).end('gone'),
  'package-gone',
  1,
);
test(
  'a server that fails is tried three times',
  failing,
  (_, response) => void response.writeHead(503).end(),
  'archive-unreachable',
  3,
);
test(
  'a file cut off with Content-Length is tried three times',
  failing,
  (_, response) => {
    response.writeHead(200, {'content-length': content.length});
    response.write(content.subarray(0, 1000), () => response.destroy());
  },
  'archive-unreachable',
  3,
);
test(
  'a file cut off without Content-Length is tried three times',
  failing,
  (_, response) => void response.end(content.subarray(0, 1000)),
  'archive-unreachable',
  3,
);
test(
  'a server that falls silent is tried three times',
  failing,
  (_, response) => void response.write(content.subarray(0, 1000)),
  'archive-unreachable',
  3,
  {retryDelayMs: 1, stallMs: 400},
);
test(
  'a dropped connection is tried three times',
  failing,
  request => void request.socket.destroy(),
  'archive-unreachable',
  3,
);

test('a connection that drops once is made good by the next attempt', async t => {
  const path = await folder(t);
  let first = true;
  const {url, asked} = await serve(t, (request, response) => {
    if (first) request.socket.destroy();
    else response.end(content);
    first = false;
  });
  t.deepEqual(await openStore(path, fast).fetch(item(url), signal), {fetched: content.length});
  t.is(asked(), 2);
});

test('slow bytes are no silence: time counts between them', async t => {
  const path = await folder(t);
  const {url} = await serve(t, (_, response) => {
    let at = 0;
    const timer = setInterval(() => {
      if (at >= content.length) {
        clearInterval(timer);
        response.end();
        return;
      }
      response.write(content.subarray(at, at + 25_000));
      at += 25_000;
    }, 200);
  });
  t.deepEqual(await openStore(path, {stallMs: 1000}).fetch(item(url), signal), {fetched: content.length});
});

test('two that want one file at once cause one request', async t => {
  const path = await folder(t);
  const {url, asked} = await serve(t, (_, response) => void setTimeout(() => response.end(content), 50));
  const store = openStore(path, fast);
  const results = await Promise.all([1, 2, 3].map(() => store.fetch(item(url), signal)));
  t.is(asked(), 1);
  t.is(
    results.reduce((sum, {fetched}) => sum + fetched, 0),
    content.length,
  );
  t.deepEqual(await files(path), [sha256]);
});

test('two processes that fetch one file at once both end well', async t => {
  const path = await folder(t);
  const {url} = await serve(t, (_, response) => void setTimeout(() => response.end(content), 50));
  await Promise.all([1, 2].map(() => openStore(path, fast).fetch(item(url), signal)));
  t.deepEqual(await files(path), [sha256]);
  await openStore(path).verify(sha256, 'hello');
});

test('an abort ends the fetch at once with its own reason and leaves nothing', async t => {
  const path = await folder(t);
  const {url} = await serve(t, (_, response) => void response.write(content.subarray(0, 1000)));
  const stop = new AbortController();
  const fetching = openStore(path, {retryDelayMs: 60_000, stallMs: 60_000}).fetch(item(url), stop.signal);
  setTimeout(() => stop.abort(new Error('enough')), 50);
  await t.throwsAsync(fetching, {message: 'enough'});
  t.deepEqual(await files(path), []);
});

test('a damaged file is refused, removed, and fetched anew', async t => {
  const path = await folder(t);
  const {url, asked} = await serve(t, (_, response) => void response.end(content));
  const store = openStore(path, fast);
  await store.fetch(item(url), signal);
  const damaged = Buffer.from(content);
  damaged[100] = (damaged[100] ?? 0) ^ 1;
  await writeFile(store.path(sha256), damaged);
  const error = await t.throwsAsync(store.verify(sha256, 'hello'), {instanceOf: ImageError});
  t.is(error?.code, 'hash-mismatch');
  await store.fetch(item(url), signal);
  t.is(asked(), 2);
  await store.verify(sha256, 'hello');
});

test('a stored file of another length is fetched anew without being asked to', async t => {
  const path = await folder(t);
  const {url} = await serve(t, (_, response) => void response.end(content));
  const store = openStore(path, fast);
  await store.fetch(item(url), signal);
  await writeFile(store.path(sha256), content.subarray(0, 10));
  t.deepEqual(await store.fetch(item(url), signal), {fetched: content.length});
  await store.verify(sha256, 'hello');
});

test('what a killed download left is swept after a day, not before', async t => {
  const path = await folder(t);
  const {url} = await serve(t, (_, response) => void response.end(content));
  const store = openStore(path, fast);
  await store.fetch(item(url), signal);
  const place = dirname(store.path(sha256));
  await writeFile(join(place, 'old.tmp'), 'x');
  await writeFile(join(place, 'young.tmp'), 'x');
  await utimes(join(place, 'old.tmp'), 1, 1);
  await rm(store.path(sha256));
  await store.fetch(item(url), signal);
  t.deepEqual((await files(path)).sort(), [sha256, 'young.tmp'].sort());
});

const isRoot = process.getuid?.() === 0;
(isRoot ? test : test.skip)('a full disk is disk-full at once, and nothing is kept', async t => {
  const {url, asked} = await serve(t, (_, response) => void response.end(content));
  const path = await folder(t);
  const modules = new URL('../../../image-build/packages/store.ts', import.meta.url).pathname;
  const program = `
    import {openStore} from ${JSON.stringify(modules)};
    import {readdirSync} from 'node:fs';
    const store = openStore('${path}/full', {retryDelayMs: 1});
    const error = await store.fetch(${JSON.stringify(item(url))}, new AbortController().signal).catch(error => error);
    const left = readdirSync('${path}/full', {recursive: true, withFileTypes: true}).filter(entry => entry.isFile());
    console.log(JSON.stringify({code: error.code, left: left.length}));
  `;
  const argv = [
    'sh',
    '-c',
    'mkdir "$1/full" && mount -t tmpfs -o size=64k tmpfs "$1/full" && exec "$2" --input-type=module -e "$3"',
    'full',
    path,
    process.execPath,
    program,
  ];
  const {stdout} = await exec(['unshare', '--mount', '--', ...argv], {timeoutMs: 20_000});
  t.deepEqual(JSON.parse(stdout), {code: 'disk-full', left: 0});
  t.is(asked(), 1);
});

test('packages that are gone are all named; any other failure stops the rest', async t => {
  const path = await folder(t);
  let broken = false;
  const {url, asked} = await serve(t, (request, response) => {
    if (broken) setTimeout(() => response.end('x'.repeat(10)), 5);
    else if (request.url?.includes('gone')) response.writeHead(404).end();
    else response.end(content);
  });
  const entry = (name: string, hash = sha256, size = content.length) =>
    ({
      name,
      version: '1',
      architecture: 'all',
      archive: 'debian',
      path: `pool/${name}.deb`,
      sha256: hash,
      size,
    }) as const;
  const mirrors = {debian: url, 'debian-security': url};
  const store = openStore(path, fast);
  const step = silentProgress.step('packages');
  const packages = [entry('gone-a', 'a'.repeat(64)), entry('here'), entry('gone-b', 'b'.repeat(64))];
  const {bytes, gone} = await fetchPackages(store, mirrors, packages, step, signal);
  t.is(bytes, content.length);
  t.deepEqual(gone.map(({name}) => name).sort(), ['gone-a', 'gone-b']);

  broken = true;
  const before = asked();
  const many = Array.from({length: 100}, (_, index) =>
    entry(`p${index}`, String(index).padStart(64, '0'), 10),
  );
  const error = await t.throwsAsync(fetchPackages(store, mirrors, many, step, signal), {
    instanceOf: ImageError,
  });
  t.is(error?.code, 'hash-mismatch');
  t.true(asked() - before <= 16, `${asked() - before} requests`);
});
