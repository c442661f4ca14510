import {cp, rm} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {cacheWithoutSteps, currentManifest, hawser, haveRoots, temporaryHome, type Run} from './support.ts';

/** Another place, time zone, language and umask, and no step taken from a cache. */
const elsewhere = {
  cwd: '/',
  umask: '077',
  env: {TZ: 'Pacific/Auckland', LC_ALL: 'C', LANG: 'tr_TR.UTF-8', SOURCE_DATE_EPOCH: '1'},
} as const;

test.serial('two builds from one lock are the same bytes, wherever and however they are made', async t => {
  if (!(await haveRoots(t))) return;
  t.timeout(1_800_000);
  const [here, there] = [await temporaryHome(t), await temporaryHome(t)];
  await hawser({home: here}, 'image', 'build', '--unsigned');
  await hawser(
    {...elsewhere, home: there, cache: await cacheWithoutSteps(t)},
    'image',
    'build',
    '--unsigned',
  );
  const [first, second] = [await currentManifest(here), await currentManifest(there)];
  t.false(first.signed);
  t.deepEqual(Object.keys(first.artefacts).sort(), [
    'boot-loader',
    'disk',
    'qcow2',
    'sbom.cdx',
    'sbom.spdx',
    'tree',
    'uki',
    'usr',
  ]);
  t.deepEqual(second, first);
});

test.serial(
  'published signatures turn an unsigned build into the signed disk, and verify says so',
  async t => {
    if (!(await haveRoots(t))) return;
    t.timeout(1_800_000);
    const signer: Run = {home: await temporaryHome(t)};
    await hawser(signer, 'keys', 'init');
    await hawser(signer, 'image', 'build');
    const signed = await currentManifest(signer.home);
    t.true(signed.signed);

    const stranger: Run = {...elsewhere, home: await temporaryHome(t), cache: await cacheWithoutSteps(t)};
    const signatures = join(stranger.home, 'published');
    await cp(join(signer.home, 'images/current/signatures'), signatures, {recursive: true});
    await rm(join(signer.home, 'keys'), {recursive: true});
    await hawser(stranger, 'image', 'build', '--signatures', signatures);
    t.deepEqual(await currentManifest(stranger.home), signed);

    const {stdout} = await hawser(signer, 'image', 'verify', 'current');
    t.regex(stdout, /the same bit for bit: .*disk.*uki/);
  },
);
