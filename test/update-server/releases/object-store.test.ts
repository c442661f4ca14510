/** A repository in an S3-compatible store: files copied into a bucket, read by an agent and mirrored from there. */
import {readdir, readFile, stat} from 'node:fs/promises';
import {join, relative, sep} from 'node:path';
import test from 'ava';
import {sha256} from '../../../services/common/hash.ts';
import {signedReleases} from '../../../services/update-agent/adapters/releases.ts';
import type {MachineHttp} from '../../../services/common/machine-http.ts';
import {createHttpFetch} from '../../../services/update-agent/payload/http-fetch.ts';
import {stagePayload} from '../../../services/update-agent/payload/stage-payload.ts';
import {buildPayload} from '../../../services/update-server/payload/build-payload.ts';
import type {ImageFile, ReleaseImage} from '../../../services/update-server/releases/ports.ts';
import {startMoto} from '../../support/moto.ts';
import {makeImage, type TestImage} from '../../support/payload-image.ts';
import {
  createMachine,
  firstUsr,
  runningOf,
  secondUsr,
  veritysetupVerify,
} from '../../update-agent/payload/support.ts';
import {desk} from './desk.ts';
import {tempFolder} from './support.ts';

/** moto looks at no signature; that there is one makes the caller the owner of the bucket. */
const owner = {
  authorization:
    'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0',
};

const images = new Map<string, TestImage>();

async function imageOf(home: string, version: string): Promise<ReleaseImage> {
  const image = await makeImage(home, version, version === '1.0.0' ? firstUsr() : secondUsr());
  images.set(version, image);
  const file = async (path: string): Promise<ImageFile> => ({
    path,
    size: (await stat(path)).size,
    sha256: sha256(await readFile(path)),
  });
  return {
    name: 'hawser',
    version,
    rootHash: image.rootHash,
    signed: true,
    locked: true,
    packages: [],
    files: {
      usr: await file(image.usr),
      tree: await file(image.tree),
      uki: await file(image.uki),
      bootLoader: await file(image.bootLoader),
    },
  };
}

/** As `aws s3 sync` does it. */
async function copyToBucket(folder: string, bucket: string, acl: string): Promise<number> {
  await put(bucket, owner);
  let files = 0;
  for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const key = relative(folder, path).split(sep).map(encodeURIComponent).join('/');
    await put(`${bucket}/${key}`, {...owner, 'x-amz-acl': acl}, await readFile(path));
    files++;
  }
  return files;
}

async function put(url: string, headers: Record<string, string>, body?: Buffer): Promise<void> {
  const answer = await fetch(url, {method: 'PUT', headers, ...(body === undefined ? {} : {body})});
  // Read to its end: Node's fetch does not bear that a server closes a connection whose answer nobody reads.
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${url}: HTTP ${answer.status} ${text}`);
}

/** The machine's own road to its server, which a mirror is not. */
const noServer: MachineHttp = {
  post: () => Promise.reject(new Error('not asked')),
  open: () => Promise.reject(new Error('not asked')),
  close: () => undefined,
};

test('an agent updates from a bucket, and the bucket is mirrored like any other repository', async t => {
  const url = await startMoto(t);
  if (url === undefined) return;
  const {run, home} = await desk(t, {image: imageOf, buildPayload});
  await run('release keys init');
  await run('release publish 1.0.0');
  await run('release publish 1.0.1');
  await run('release mirror repository --to copy');
  const bucket = `${url}/hawser-releases`;
  t.true((await copyToBucket(join(home, 'copy'), bucket, 'public-read')) > 8);

  const root = await readFile(join(home, 'copy', 'metadata', '1.root.json'));
  const agent = async () =>
    signedReleases({
      http: noServer,
      root,
      folder: await tempFolder(t),
      server: 'https://server.invalid/',
      notBefore: undefined,
      now: () => new Date(),
      signal: new AbortController().signal,
      log: line => t.log(line),
    });
  const verified = await (await agent()).verify('1.0.1', [bucket]);
  if (verified.kind !== 'metadata-verified') throw new Error(JSON.stringify(verified));
  const [first, second] = [images.get('1.0.0'), images.get('1.0.1')];
  if (first === undefined || second === undefined) throw new Error('not published');
  const machine = await createMachine(await tempFolder(t));
  const http = createHttpFetch();
  t.teardown(() => http.close());
  const {patched, fetchedBytes} = await stagePayload({
    manifest: verified.release,
    repositories: [bucket],
    fetch: http.fetch,
    running: runningOf({image: first}),
    ...machine,
    signal: new AbortController().signal,
  });
  await veritysetupVerify(machine, second.rootHash);
  t.deepEqual(await readFile(machine.ukiOut), await readFile(second.uki));
  t.true(patched);
  t.true(fetchedBytes < verified.release.fullBytes / 4, 'by range, and not the whole');

  t.regex((await run(`release mirror ${bucket} --to back`)).lines.join('\n'), /holds 2 releases/);
  t.regex((await run('release verify back')).lines.join('\n'), /back is whole/);

  // A bucket that is not public is a repository that cannot be reached, and no reason to give up.
  const closed = `${url}/closed`;
  await copyToBucket(join(home, 'copy'), closed, 'private');
  t.is((await (await agent()).verify('1.0.1', [closed])).kind, 'metadata-unreachable');
  t.is((await (await agent()).verify('1.0.1', [closed, bucket])).kind, 'metadata-verified');
});
