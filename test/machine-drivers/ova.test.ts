/** The appliance for VirtualBox: read by qemu-img and by xmllint, and by ourselves. */
import {mkdir, open, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import {extract} from 'tar';
import {exec} from '../../services/common/exec.ts';
import {sha256File} from '../../services/common/hash.ts';
import {systemClock} from '../../services/common/clock.ts';
import {listPublished, recordPublished} from '../../services/common/published-images.ts';
import {virtualboxPublisher} from '../../machine-drivers/drivers/virtualbox/ova/publisher.ts';
import {proveVmdk, writeVmdk} from '../../machine-drivers/drivers/virtualbox/ova/vmdk.ts';
import type {BuiltImage} from '../../machine-drivers/publisher.ts';
import {temporaryFolder} from './support/runtime.ts';

const signal = new AbortController().signal;
const MiB = 1 << 20;

/** A sparse disk with something at its beginning, in the middle of a grain, across two tables, and at its end. */
async function rawDisk(folder: string, size: number): Promise<string> {
  const path = join(folder, 'disk.raw');
  await using file = await open(path, 'w');
  await file.truncate(size);
  for (const at of [0, 3 * 65_536 + 777, 32 * MiB - 100, size - 513])
    if (at >= 0 && at + 512 <= size) await file.write(randomBytes(512), 0, 512, at);
  await file.write(Buffer.alloc(200_000, 'text '), 0, 200_000, Math.floor(size / 2));
  return path;
}

const vmdkOf = (raw: string, vmdk: string) =>
  writeVmdk({raw, vmdk, name: 'disk.vmdk', contentId: '0123abcd', signal, report: () => undefined});

for (const size of [40 * MiB, 33 * MiB + 512, 2 * MiB]) {
  test(`a disk of ${size} bytes is the same by qemu-img and by our own reader`, async t => {
    const folder = await temporaryFolder(t);
    const raw = await rawDisk(folder, size);
    const vmdk = join(folder, 'disk.vmdk');
    await vmdkOf(raw, vmdk);
    const {stdout} = await exec(['qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', raw, vmdk], {
      timeoutMs: 60_000,
    });
    t.regex(stdout, /identical/);
    const info = JSON.parse(
      (await exec(['qemu-img', 'info', '--output=json', vmdk], {timeoutMs: 60_000})).stdout,
    ) as {'virtual-size': number; 'format-specific': {data: {'create-type': string}}};
    t.is(info['virtual-size'], size);
    t.is(info['format-specific'].data['create-type'], 'streamOptimized');
    await t.notThrowsAsync(proveVmdk(vmdk, raw, signal));
  });
}

test('a flipped bit, a cut end and another disk are seen', async t => {
  const folder = await temporaryFolder(t);
  const raw = await rawDisk(folder, 4 * MiB);
  const vmdk = join(folder, 'disk.vmdk');
  await vmdkOf(raw, vmdk);
  const whole = await readFile(vmdk);
  const broken = Buffer.from(whole);
  broken.writeUInt8(broken.readUInt8(65_536 + 40) ^ 1, 65_536 + 40);
  await writeFile(vmdk, broken);
  await t.throwsAsync(proveVmdk(vmdk, raw, signal));
  await writeFile(vmdk, whole.subarray(0, whole.length - 512));
  await t.throwsAsync(proveVmdk(vmdk, raw, signal));
  await writeFile(vmdk, whole);
  await using file = await open(raw, 'r+');
  await file.write(Buffer.from('x'), 0, 1, MiB + 5);
  await t.throwsAsync(proveVmdk(vmdk, raw, signal), {message: /grain 16/});
});

async function builtImage(t: ExecutionContext): Promise<{image: BuiltImage; home: string}> {
  const home = await temporaryFolder(t);
  const folder = join(home, 'image');
  await mkdir(folder);
  const disk = await rawDisk(folder, 8 * MiB);
  const hex = 'ab'.repeat(32);
  const manifest = {
    schema: 1,
    name: 'hawser',
    version: '1.2.3',
    architecture: 'x86_64',
    locked: true,
    signed: true,
    rootHash: hex,
    kernel: '6.12',
    lockSha256: hex,
    inputs: hex,
    artefacts: {disk: {file: 'disk.raw', size: 8 * MiB, sha256: hex}},
  } as const;
  return {home, image: {folder, manifest, disk}};
}

test('the appliance: envelope first, hashes that fit, EFI firmware, and nothing left beside it', async t => {
  const {image, home} = await builtImage(t);
  const paths = {home, cache: join(home, 'cache')};
  const host = {
    paths,
    clock: systemClock,
    signal,
    env: {},
    fleet: 'f',
    operator: 'o',
    report: () => undefined,
  };
  const published = await virtualboxPublisher.publish(image, {}, host);
  await recordPublished(home, published);
  t.is(published.reference, join(home, 'published', 'hawser-1.2.3.ova'));
  t.is((await listPublished(home, 'virtualbox'))[0]?.reference, published.reference);
  t.deepEqual(
    (await readdir(join(home, 'published'))).filter(name => name.endsWith('.ova') || name.includes('.ova.')),
    ['hawser-1.2.3.ova'],
  );
  const first = await readFile(published.reference);
  await virtualboxPublisher.publish(image, {}, host);
  t.deepEqual(await readFile(published.reference), first);

  const out = join(home, 'out');
  await mkdir(out);
  await extract({file: published.reference, cwd: out});
  const [ovf, manifest] = await Promise.all(
    ['hawser-1.2.3.ovf', 'hawser-1.2.3.mf'].map(name => readFile(join(out, name), 'utf8')),
  );
  t.true(
    manifest?.includes(
      `SHA256(hawser-1.2.3-disk1.vmdk)= ${await sha256File(join(out, 'hawser-1.2.3-disk1.vmdk'))}`,
    ),
  );
  t.true(manifest?.includes(`SHA256(hawser-1.2.3.ovf)= ${await sha256File(join(out, 'hawser-1.2.3.ovf'))}`));
  t.regex(ovf ?? '', /<Firmware type="EFI"\/>/);
  t.regex(ovf ?? '', /vmw:key="firmware" vmw:value="efi"/);
  t.regex(ovf ?? '', /streamOptimized/);
  t.regex(ovf ?? '', new RegExp(`ovf:capacity="${8 * MiB}"`));
  await exec(
    [
      'python3',
      '-c',
      'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])',
      join(out, 'hawser-1.2.3.ovf'),
    ],
    {
      timeoutMs: 30_000,
    },
  );
  await rm(out, {recursive: true});
});
