import test from 'ava';
import {readFile, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {readIndex} from '../../../services/common/payload/index-format.ts';
import {PayloadError} from '../../../services/common/payload/errors.ts';
import {stagePayload} from '../../../services/update-agent/payload/stage-payload.ts';
import {serveRepository, type Fault, type Request} from '../../support/repository-server.ts';
import {
  createLab,
  firstUsr,
  requestOf,
  secondUsr,
  veritysetupVerify,
  type Lab,
  type Machine,
  type Published,
} from './support.ts';

let lab: Lab;
test.before(async () => {
  lab = await createLab();
});
test.after.always(async () => {
  await lab[Symbol.asyncDispose]();
});

async function isRelease(machine: Machine, {image}: Published): Promise<boolean> {
  await veritysetupVerify(machine, image.rootHash);
  const [usr, tree] = [await readFile(image.usr), await readFile(image.tree)];
  return (
    usr.equals((await readFile(machine.target.usrDevice)).subarray(0, usr.length)) &&
    tree.equals((await readFile(machine.target.treeDevice)).subarray(0, tree.length)) &&
    (await readFile(image.uki)).equals(await readFile(machine.ukiOut)) &&
    (await readFile(image.bootLoader)).equals(await readFile(machine.bootLoaderOut))
  );
}

const headOf = async ({manifest}: Published) =>
  readIndex(await readFile(join(lab.repository, manifest.payload.path))).head;

test('a machine with nothing fetches all of it', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('nothing');
  const result = await stagePayload(requestOf(lab, machine, lab.first, undefined, [server.url]));
  t.true(await isRelease(machine, lab.first));
  t.is(result.copiedBytes, 0);
  t.true(result.fetchedBytes <= lab.first.manifest.fullBytes);
});

test('from the predecessor: the patch, and little of it', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('patch');
  const result = await stagePayload(requestOf(lab, machine, lab.second, lab.first, [server.url]));
  t.true(await isRelease(machine, lab.second));
  t.true(result.patched);
  const image = (await readFile(lab.second.image.usr)).length;
  t.true(result.copiedBytes > image * 0.9);
  t.true(result.fetchedBytes < 16_000, `${result.fetchedBytes} bytes`);
  t.true(result.reusedUkiBytes > (await readFile(lab.second.image.uki)).length - 8192);
});

test('from any other release: only the groups with something missing', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('back');
  const result = await stagePayload(requestOf(lab, machine, lab.first, lab.second, [server.url]));
  t.true(await isRelease(machine, lab.first));
  t.false(result.patched);
  t.true(result.fetchedBytes < lab.first.manifest.fullBytes / 2);
});

test('what the slot holds already is neither copied nor fetched again', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('again');
  const request = requestOf(lab, machine, lab.second, lab.first, [server.url]);
  await stagePayload(request);
  const again = await stagePayload(request);
  t.is(again.copiedBytes, 0);
  t.is(again.keptBytes, lab.second.manifest.usr.size);
  const head = await headOf(lab.second);
  t.is(again.fetchedBytes, lab.second.manifest.payload.size + (head.patch?.leaves.size ?? 0));
  t.true(await isRelease(machine, lab.second));
});

test('a running slot with damaged blocks and a damaged tree costs more, and harms nothing', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('damaged');
  const usr = firstUsr();
  for (let at = 0; at < usr.length; at += 100 * 4096) usr[at + 77] = 255 - (usr[at + 77] ?? 0);
  const usrDevice = join(lab.folder, 'damaged.usr');
  await writeFile(usrDevice, usr);
  const tree = await readFile(lab.first.image.tree);
  tree.fill(7, tree.length - 2000, tree.length - 1000);
  const treeDevice = join(lab.folder, 'damaged.tree');
  await writeFile(treeDevice, tree);
  const request = requestOf(lab, machine, lab.second, lab.first, [server.url]);
  await stagePayload({...request, running: request.running && {...request.running, usrDevice, treeDevice}});
  t.true(await isRelease(machine, lab.second));
});

test('without the running kernel image, or with one that is none, the update goes on', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('no-uki');
  const request = requestOf(lab, machine, lab.second, lab.first, [server.url]);
  await writeFile(join(lab.folder, 'no.efi'), 'this is no kernel');
  for (const ukiPath of [join(lab.folder, 'absent.efi'), join(lab.folder, 'no.efi')]) {
    await stagePayload({...request, running: request.running && {...request.running, ukiPath}});
    t.true(await isRelease(machine, lab.second));
  }
});

/** How each fault is survived: from nothing, so that every layer but the patch is asked for. */
const survived: readonly (readonly [string, (request: Request) => Fault | undefined])[] = [
  [
    'connections that end early, again and again',
    ({number}) => (number % 2 === 1 ? {kind: 'cut', after: 70_000} : undefined),
  ],
  ['a connection that ends at once', ({number}) => (number < 4 ? {kind: 'cut', after: 0} : undefined)],
  ['a server that ignores Range', () => ({kind: 'whole'})],
  [
    'a server that answers with another range, now and then',
    ({number}) => (number % 3 === 0 ? {kind: 'elsewhere'} : undefined),
  ],
  ['a length that is not kept', ({number}) => (number % 3 === 0 ? {kind: 'long-length'} : undefined)],
  ['more bytes than were asked for', () => ({kind: 'more'})],
  [
    'a server that is overloaded for a while',
    ({number}) => (number < 4 ? {kind: 'status', status: 503} : undefined),
  ],
];
for (const [title, fault] of survived) {
  test(`survived: ${title}`, async t => {
    await using server = await serveRepository(lab.repository, {fault});
    const machine = await lab.machine(title.replaceAll(/\W+/g, '-'));
    await stagePayload(requestOf(lab, machine, lab.second, undefined, [server.url]));
    t.true(await isRelease(machine, lab.second));
  });
}

test('a mirror without the files, or that is not there, is passed over', async t => {
  await using server = await serveRepository(lab.repository);
  await using empty = await serveRepository(join(lab.repository, 'nowhere'));
  const machine = await lab.machine('mirrors');
  const mirrors = ['http://127.0.0.1:9', empty.url, server.url];
  await stagePayload(requestOf(lab, machine, lab.second, lab.first, mirrors));
  t.true(await isRelease(machine, lab.second));
});

/** Offsets in the store at which a flipped bit hits a layer. */
async function layers(): Promise<Record<string, {path: string; offset: number; running: boolean}>> {
  const head = await headOf(lab.second);
  const [generation] = head.generations;
  const {path} = head.store;
  if (generation === undefined || head.patch === undefined) throw new Error('the release has no patch');
  return {
    index: {path: lab.second.manifest.payload.path, offset: 100, running: false},
    leaves: {path, offset: head.leaves.offset + 1000, running: false},
    table: {path, offset: generation.table.offset, running: false},
    blocks: {path, offset: generation.offset + 40, running: false},
    uki: {path, offset: head.uki.small.offset + 30, running: true},
    'boot-loader': {path, offset: head.bootLoader.stored + 20, running: false},
    patch: {path, offset: head.patch.offset + 40, running: true},
  };
}

for (const layer of ['index', 'leaves', 'table', 'blocks', 'uki', 'boot-loader', 'patch']) {
  test(`a flipped bit in ${layer}: the next mirror helps`, async t => {
    const {path, offset, running} = (await layers())[layer] ?? t.fail();
    const fault = (request: Request): Fault | undefined =>
      request.path.endsWith(path) ? {kind: 'flip', offset} : undefined;
    await using bad = await serveRepository(lab.repository, {fault});
    await using good = await serveRepository(lab.repository);
    const machine = await lab.machine(`mirror-${layer}`);
    const from = running ? lab.first : undefined;
    await stagePayload(requestOf(lab, machine, lab.second, from, [bad.url, good.url]));
    t.true(await isRelease(machine, lab.second));
    t.true(good.requests.length > 0);
  });
}

for (const layer of ['index', 'leaves', 'table', 'blocks', 'uki', 'boot-loader']) {
  test(`a flipped bit in ${layer} everywhere is named`, async t => {
    const {path, offset, running} = (await layers())[layer] ?? t.fail();
    const fault = (request: Request): Fault | undefined =>
      request.path.endsWith(path) ? {kind: 'flip', offset} : undefined;
    await using server = await serveRepository(lab.repository, {fault});
    const machine = await lab.machine(`flip-${layer}`);
    const from = running ? lab.first : undefined;
    const error = await t.throwsAsync(stagePayload(requestOf(lab, machine, lab.second, from, [server.url])), {
      instanceOf: PayloadError,
    });
    t.is(error.code, 'payload-damaged');
    t.is(error.context['layer'], layer);
    if (layer === 'blocks') t.is(typeof error.context['block'], 'number');
    await t.throwsAsync(readFile(machine.bootLoaderOut), {code: 'ENOENT'});
  });
}

test('a flipped bit in the patch everywhere: the groups take over', async t => {
  const {path, offset} = (await layers())['patch'] ?? t.fail();
  const fault = (request: Request): Fault | undefined =>
    request.path.endsWith(path) ? {kind: 'flip', offset} : undefined;
  await using server = await serveRepository(lab.repository, {fault});
  const machine = await lab.machine('flip-patch');
  const result = await stagePayload(requestOf(lab, machine, lab.second, lab.first, [server.url]));
  t.true(await isRelease(machine, lab.second));
  t.false(result.patched);
});

test('a payload that no repository has is another thing than a repository that is not there', async t => {
  await using empty = await serveRepository(join(lab.repository, 'nowhere'));
  const machine = await lab.machine('absent');
  const missing = stagePayload(requestOf(lab, machine, lab.second, lab.first, [empty.url]));
  t.is((await t.throwsAsync(missing, {instanceOf: PayloadError})).code, 'payload-missing');
});

test('a slot that is too small is refused before anything is written', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('small');
  await truncate(machine.target.usrDevice, 4096 * 100);
  const error = await t.throwsAsync(
    stagePayload(requestOf(lab, machine, lab.second, lab.first, [server.url])),
    {instanceOf: PayloadError},
  );
  t.is(error.code, 'slot-too-small');
  t.true((await readFile(machine.target.usrDevice)).every(byte => byte === 0));
});

test('a payload of another release than the manifest says is refused, whatever it would lead to', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('other');
  const request = requestOf(lab, machine, lab.second, lab.first, [server.url]);
  const manifest = {...request.manifest, payload: lab.first.manifest.payload};
  const error = await t.throwsAsync(stagePayload({...request, manifest}), {instanceOf: PayloadError});
  t.is(error.code, 'payload-damaged');
});

test('a bounded rate is kept to, by the clock of the reader', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('rate');
  const started = performance.now();
  const request = requestOf(lab, machine, lab.second, lab.first, [server.url]);
  const {fetchedBytes} = await stagePayload({...request, bytesPerSecond: 16_384});
  // Never faster than the rate allows, less one burst; how much slower is this machine's affair.
  t.true(performance.now() - started >= ((fetchedBytes - 16_384) / 16_384) * 1000 - 50);
});

test('interrupted by its signal, it says so and goes on later', async t => {
  await using server = await serveRepository(lab.repository);
  const machine = await lab.machine('aborted');
  const interrupt = new AbortController();
  const request = requestOf(lab, machine, lab.second, undefined, [server.url]);
  const error = await t.throwsAsync(
    stagePayload({
      ...request,
      signal: interrupt.signal,
      onProgress: ({phase, doneBytes}) => {
        if (phase === 'fetch' && doneBytes > 2_000_000) interrupt.abort();
      },
    }),
    {instanceOf: PayloadError},
  );
  t.is(error.code, 'aborted');
  const result = await stagePayload(request);
  t.true(result.keptBytes > 2_000_000);
  t.true(result.fetchedBytes < lab.second.manifest.fullBytes);
  t.true(await isRelease(machine, lab.second));
});

test('the same input gives the same payload', async t => {
  t.deepEqual(secondUsr(), await readFile(lab.second.image.usr));
  const other = await createLab();
  t.deepEqual(other.second.manifest, lab.second.manifest);
  await other[Symbol.asyncDispose]();
});
