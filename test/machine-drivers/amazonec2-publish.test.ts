/** `image publish --to aws` against moto behind our proxy: small disks, every byte compared by another reader. */
import {createHash} from 'node:crypto';
import {mkdir, open, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {inflateSync} from 'node:zlib';
import anyTest, {type ExecutionContext} from 'ava';
import type {ImageManifest} from '../../services/common/contracts/image.ts';
import {systemClock} from '../../services/common/clock.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {recordPublished} from '../../services/common/published-images.ts';
import {awsPublisher} from '../../machine-drivers/drivers/amazonec2/publish/publisher.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {MachineError} from '../../machine-drivers/errors.ts';
import {removeMachine} from '../../machine-drivers/lifecycle.ts';
import type {BuiltImage, PublishHost} from '../../machine-drivers/publisher.ts';
import {hurriedClock} from './support/hurried.ts';
import {openLab, region, type Ec2Lab} from './support/ec2/lab.ts';
import {awsEnv} from './support/ec2/proxy.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const BLOCK = 524_288;
const lab = await openLab();
const test = anyTest.serial;
if (lab === undefined) test('SKIPPED: there is no Python to run moto with', t => t.pass());
else anyTest.after.always(() => lab[Symbol.asyncDispose]());

let images = 0;

interface Bench {
  readonly lab: Ec2Lab;
  readonly home: string;
  readonly image: BuiltImage;
  readonly filled: readonly number[];
  readonly publish: (more?: {parallel?: number; retries?: number; signal?: AbortSignal}) => Promise<string>;
}

/** A disk of 260 blocks and a bit, of which a few hold something. */
async function bench(t: ExecutionContext, lab: Ec2Lab): Promise<Bench> {
  const home = await temporaryFolder(t);
  const folder = join(home, 'image');
  await mkdir(join(folder, 'signatures', 'enrolment'), {recursive: true});
  images += 1;
  const disk = join(folder, 'disk.raw');
  const filled = [0, 1, 7, ...Array.from({length: 120}, (_, index) => 100 + index), 260];
  const file = await open(disk, 'w');
  await file.truncate(260 * BLOCK + 4096);
  for (const index of filled) {
    const data = createHash('sha512').update(`${images} ${index}`).digest();
    await file.write(data, 0, data.length, index * BLOCK + (index === 260 ? 0 : 1000));
  }
  await file.close();
  for (const name of ['PK', 'KEK', 'db']) {
    const certificate = Buffer.alloc(24);
    certificate.writeUInt32LE(24);
    await writeFile(
      join(folder, 'signatures', 'enrolment', `${name}.auth`),
      Buffer.concat([Buffer.alloc(16, 1), certificate, Buffer.from(`lists of ${name}`)]),
    );
  }
  const rootHash = createHash('sha256').update(String(images)).digest('hex');
  const manifest: ImageManifest = {
    schema: 1,
    name: 'hawser',
    version: `1.0.${images}`,
    architecture: 'x86_64',
    locked: true,
    signed: true,
    rootHash,
    kernel: '6.12',
    lockSha256: rootHash,
    inputs: rootHash,
    artefacts: {disk: {file: 'disk.raw', size: 260 * BLOCK + 4096, sha256: rootHash}},
  };
  const image = {folder, manifest, disk};
  return {
    lab,
    home,
    image,
    filled,
    publish: async ({parallel = 8, retries = 2, signal = new AbortController().signal} = {}) => {
      const paths = {home, cache: join(home, 'cache')};
      const settings = await awsPublisher.configure(
        new Map<string, string | number>([
          ['amazonec2-region', region],
          ['amazonec2-endpoint', lab.proxy.url],
          ['amazonec2-retries', retries],
          ['aws-parallel', parallel],
        ]),
        {cwd: home, paths, env: awsEnv},
      );
      const host: PublishHost = {
        paths,
        signal,
        clock: hurriedClock(40),
        env: awsEnv,
        fleet: 'f',
        operator: 'tester',
        report: () => undefined,
      };
      const published = await awsPublisher.publish(image, settings, host);
      await recordPublished(home, published);
      return published.reference;
    },
  };
}

function declare(title: string, work: (t: ExecutionContext, bench: Bench) => Promise<void>): void {
  if (lab !== undefined) test(title, async t => work(t, await bench(t, lab)));
}

declare(
  'published: only filled blocks are sent, what is registered asks for UEFI, TPM and our keys',
  async (t, {lab, publish, image, filled}) => {
    const before = lab.proxy.calls.length;
    const ami = await publish();
    const calls = lab.proxy.calls.slice(before);
    const sent = calls
      .filter(call => call.action === 'PutSnapshotBlock')
      .map(call => Number(call.parameters.get('BlockIndex')));
    t.deepEqual(
      sent.sort((a, b) => a - b),
      [...filled],
    );
    t.is(calls.filter(call => call.action === 'GetSnapshotBlock').length, filled.length);
    t.true(calls.filter(call => call.action === 'ListSnapshotBlocks').length > 1, 'pages are followed');
    const order = calls.map(call => call.action);
    t.true(
      order.lastIndexOf('GetSnapshotBlock') < order.indexOf('RegisterImage'),
      'nothing is registered that was not read again',
    );
    const wire = calls.find(call => call.action === 'RegisterImage')?.parameters;
    const expected = {
      BootMode: 'uefi',
      ImdsSupport: 'v2.0',
      TpmSupport: 'v2.0',
      Architecture: 'x86_64',
      EnaSupport: 'true',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      'BlockDeviceMapping.1.DeviceName': '/dev/xvda',
      'BlockDeviceMapping.1.Ebs.VolumeType': 'gp3',
      'BlockDeviceMapping.1.Ebs.DeleteOnTermination': 'true',
    };
    for (const [name, value] of Object.entries(expected)) t.is(wire?.get(name), value, name);
    const raw = inflateSync(Buffer.from(wire?.get('UefiData') ?? '', 'base64').subarray(16)).toString(
      'latin1',
    );
    for (const name of ['PK', 'KEK', 'db']) t.true(raw.includes(`lists of ${name}`), name);
    const {Images} = await lab.truth.describeImages({ImageIds: [ami]});
    const tags = Object.fromEntries((Images?.[0]?.Tags ?? []).map(tag => [tag.Key, tag.Value]));
    t.is(tags['hawser:root-hash'], image.manifest.rootHash);
  },
);

declare('published again: the same image, and nothing is sent', async (t, {lab, publish}) => {
  const first = await publish();
  const before = lab.proxy.count('PutSnapshotBlock');
  t.is(await publish(), first);
  t.is(lab.proxy.count('PutSnapshotBlock'), before);
});

declare('no more blocks at a time than asked for', async (t, {lab, publish}) => {
  lab.proxy.measure();
  await publish({parallel: 3});
  t.is(lab.proxy.mostAtOnce('PutSnapshotBlock'), 3);
});

declare(
  'cut off in the middle: the next run sends only the rest, to the same snapshot',
  async (t, {lab, publish, filled}) => {
    const before = lab.proxy.count('PutSnapshotBlock');
    lab.proxy.fail({action: 'PutSnapshotBlock', kind: 'lose', after: 50, times: 100});
    const error = await t.throwsAsync(publish({parallel: 4, retries: 0}), {instanceOf: MachineError});
    t.regex(error?.remedy ?? '', /run the command again to go on/);
    lab.proxy.forgive();
    const begun = lab.proxy.count('StartSnapshot');
    const tried = lab.proxy.count('PutSnapshotBlock') - before;
    const middle = lab.proxy.count('PutSnapshotBlock');
    await publish();
    t.is(lab.proxy.count('StartSnapshot'), begun);
    const rest = lab.proxy.count('PutSnapshotBlock') - middle;
    t.true(tried >= 50 && tried < 60, String(tried));
    t.true(rest <= filled.length - 50 && rest >= filled.length - tried, String(rest));
  },
);

declare('^C in the middle is the same', async (t, {lab, publish, filled}) => {
  const interrupt = new AbortController();
  const before = lab.proxy.count('PutSnapshotBlock');
  const running = publish({parallel: 2, signal: interrupt.signal});
  while (lab.proxy.count('PutSnapshotBlock') < before + 20) await systemClock.sleep(2);
  interrupt.abort();
  await t.throwsAsync(running, {code: 'interrupted'});
  const middle = lab.proxy.count('PutSnapshotBlock');
  await publish();
  t.true(lab.proxy.count('PutSnapshotBlock') - middle < filled.length - 10);
});

for (const [action, kind] of [
  ['StartSnapshot', 'forget'],
  ['PutSnapshotBlock', 'forget'],
  ['CompleteSnapshot', 'forget'],
  ['RegisterImage', 'forget'],
  ['GetSnapshotBlock', 'forget'],
] as const) {
  declare(`the answer to ${action} lost: one snapshot, one image`, async (t, {lab, publish, image}) => {
    lab.proxy.fail({action, kind});
    const ami = await publish().catch(() => publish());
    const Filters = [{Name: 'tag:hawser:root-hash', Values: [image.manifest.rootHash]}];
    t.deepEqual(
      (await lab.truth.describeImages({Filters})).Images?.map(one => one.ImageId),
      [ami],
    );
    t.is((await lab.truth.describeSnapshots({Filters})).Snapshots?.length, 1);
  });
}

declare('throttled by EBS: it goes on', async (t, {lab, publish}) => {
  lab.proxy.fail({
    action: 'PutSnapshotBlock',
    kind: 'refuse',
    status: 400,
    code: 'RequestThrottledException',
    message: 'slow down',
    times: 2,
  });
  t.truthy(await publish());
});

declare('a quota: its remedy', async (t, {lab, publish}) => {
  lab.proxy.fail({
    action: 'StartSnapshot',
    kind: 'refuse',
    status: 402,
    code: 'ServiceQuotaExceededException',
    message: 'too many snapshots',
  });
  const error = await t.throwsAsync(publish(), {instanceOf: MachineError, code: 'quota'});
  t.regex(error?.remedy ?? '', /quota/);
});

for (const what of ['a byte is another', 'a block is missing'] as const) {
  declare(
    `what AWS stored is not the disk (${what}): nothing is registered, the snapshot goes`,
    async (t, {lab, publish, image}) => {
      const registered = lab.proxy.count('RegisterImage');
      if (what === 'a byte is another')
        lab.proxy.fail({action: 'GetSnapshotBlock', kind: 'spoil', after: 30});
      else lab.proxy.fail({action: 'ListSnapshotBlocks', kind: 'spoil'});
      const error = await t.throwsAsync(publish(), {instanceOf: MachineError});
      t.regex(error?.message ?? '', what === 'a byte is another' ? /checksum|is another/ : /is missing/);
      t.is(lab.proxy.count('RegisterImage'), registered);
      const Filters = [{Name: 'tag:hawser:root-hash', Values: [image.manifest.rootHash]}];
      t.deepEqual((await lab.truth.describeSnapshots({Filters})).Snapshots, []);
    },
  );
}

declare('an AMI that AWS registers otherwise than asked is refused', async (t, {lab, publish, image}) => {
  lab.proxy.model.keepsImageProperties = false;
  t.teardown(() => void (lab.proxy.model.keepsImageProperties = true));
  await t.throwsAsync(publish(), {message: /did not register the AMI .* as asked/});
  const Filters = [{Name: 'tag:hawser:root-hash', Values: [image.manifest.rootHash]}];
  t.deepEqual((await lab.truth.describeImages({Filters})).Images, []);
  t.deepEqual((await lab.truth.describeSnapshots({Filters})).Snapshots, []);
});

declare('create then needs no id', async (t, {lab, home, publish}) => {
  const ami = await publish();
  const plain = await stubDeps(home, [lab.driver]);
  const deps = {...plain, runtime: {...plain.runtime, env: awsEnv}};
  const {ami: _, ...settings} = await lab.settings();
  await createMachine(deps, {name: 'm', driver: 'amazonec2', settings, seconds: 5}, silentProgress);
  const run = lab.proxy.calls.findLast(call => call.action === 'RunInstances')?.parameters;
  t.is(run?.get('ImageId'), ami);
  await removeMachine(deps, 'm', false, {progress: silentProgress, warn: () => undefined});
});
