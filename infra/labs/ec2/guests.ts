/** QEMU behind each instance of moto: the AMI's snapshot as an NVMe disk, its user data, its public address. */
import {EBS} from '@aws-sdk/client-ebs';
import {EC2, type Instance} from '@aws-sdk/client-ec2';
import {copyFile, mkdir, open} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
// The harness lies with the tests.
// oxlint-disable no-restricted-imports
import {accessKey, secretKey, type Ec2Proxy} from '../../../test/machine-drivers/support/ec2/proxy.ts';
import {startVm, type Vm} from '../../../test/support/vm/vm.ts';
import {metadataCard} from '../../../test/vm/first-boot/platforms.ts';
import {serveMetadata} from './metadata.ts';

const BLOCK_BYTES = 524_288;
const firmware = '/usr/share/OVMF';

export interface GuestsOptions {
  readonly folder: string;
  /** The image's folder: its Secure Boot variables. */
  readonly image: string;
  readonly proxy: Ec2Proxy;
  readonly motoPort: number;
  readonly print: (line: string) => void;
}

export interface Guests extends AsyncDisposable {
  /** Of all emulators so far. */
  cpuSeconds(): number;
  /** What there still is in the account: instances, volumes, security groups of ours. */
  left(): Promise<readonly string[]>;
}

export async function openGuests({folder, image, proxy, motoPort, print}: GuestsOptions): Promise<Guests> {
  const connection = {
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${motoPort}`,
    credentials: {accessKeyId: accessKey, secretAccessKey: secretKey},
  };
  const ec2 = new EC2(connection);
  const ebs = new EBS(connection);
  const vms = new Map<string, Vm>();
  const userData = new Map<string, string>();
  const undo: (() => Promise<unknown>)[] = [];
  let spent = 0;

  const describe = async (id: string): Promise<Instance> => {
    const {Reservations} = await ec2.describeInstances({InstanceIds: [id]});
    const instance = Reservations?.[0]?.Instances?.[0];
    if (instance === undefined) throw new Error(`moto does not know ${id}`);
    return instance;
  };
  const stop = async (id: string, politely: boolean) => {
    const vm = vms.get(id);
    if (vm === undefined) return;
    if (politely) await vm.powerOff(300).catch(() => undefined);
    await vm.stop();
    spent += vm.cpuSeconds();
    vms.delete(id);
  };
  const boot = async (id: string) => {
    const instance = await describe(id);
    const address = instance.PublicIpAddress ?? '';
    const place = join(folder, id);
    await exec(['ip', 'address', 'replace', `${address}/32`, 'dev', 'lo'], {timeoutMs: 10_000});
    const forward = await serveMetadata({
      folder,
      instance: {id, address, userData: userData.get(id) ?? ''},
      undo: work => void undo.push(work),
    });
    print(`  ${id}: booting at ${address}`);
    const vm = await startVm({
      machine: {
        folder: place,
        disk: {path: join(place, 'disk.raw'), format: 'raw'},
        firmware: {
          code: join(firmware, 'OVMF_CODE_4M.secboot.fd'),
          vars: join(place, 'vars.fd'),
          secure: true,
        },
        sshKey: '/dev/null',
      },
      diskBus: 'nvme',
      smbios: [`type=1,manufacturer=Amazon EC2,product=${instance.InstanceType ?? 't3.micro'}`],
      network: [22, 2376].map(port => `hostfwd=tcp:${address}:${port}-:${port}`),
      extraArgs: metadataCard(forward),
      limitSeconds: 2400,
    });
    vms.set(id, vm);
  };

  proxy.onInstance = async (action, parameters, reply) => {
    const id = parameters.get('InstanceId.1') ?? '';
    if (action === 'RunInstances') {
      const made = /<instanceId>([^<]+)/.exec(reply.body.toString('utf8'))?.[1] ?? '';
      if (vms.has(made)) return;
      userData.set(made, Buffer.from(parameters.get('UserData') ?? '', 'base64').toString('utf8'));
      await makeVolume({
        ec2,
        ebs,
        place: join(folder, made),
        instance: await describe(made),
        gib: Number(parameters.get('BlockDeviceMapping.1.Ebs.VolumeSize')),
        image,
        proxy,
      });
      await boot(made);
    }
    if (action === 'StartInstances' && !vms.has(id)) await boot(id);
    if (action === 'StopInstances') await stop(id, parameters.get('Force') !== 'true');
    if (action === 'TerminateInstances') await stop(id, false);
  };

  return {
    cpuSeconds: () => spent + [...vms.values()].reduce((sum, vm) => sum + vm.cpuSeconds(), 0),
    left: async () => {
      const {Reservations} = await ec2.describeInstances({});
      const {Volumes} = await ec2.describeVolumes({Filters: [{Name: 'tag-key', Values: ['hawser:uuid']}]});
      const {SecurityGroups} = await ec2.describeSecurityGroups({});
      return [
        ...(Reservations ?? [])
          .flatMap(reservation => reservation.Instances ?? [])
          .filter(instance => instance.State?.Name !== 'terminated')
          .map(instance => instance.InstanceId ?? ''),
        ...(Volumes ?? []).map(volume => volume.VolumeId ?? ''),
        ...(SecurityGroups ?? []).map(group => group.GroupName ?? '').filter(name => name !== 'default'),
      ];
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of vms.keys()) await stop(id, false);
      for (const work of undo.toReversed()) await work();
      ec2.destroy();
      ebs.destroy();
    },
  };
}

interface Volume {
  readonly ec2: EC2;
  readonly ebs: EBS;
  readonly place: string;
  readonly instance: Instance;
  readonly gib: number;
  readonly image: string;
  readonly proxy: Ec2Proxy;
}

/** The disk as EBS makes it of a snapshot: what was published, and zeros. */
async function makeVolume({ebs, place, gib, image, proxy}: Volume): Promise<void> {
  await mkdir(place, {recursive: true});
  const registered = proxy.calls.findLast(call => call.action === 'RegisterImage')?.parameters;
  const SnapshotId = registered?.get('BlockDeviceMapping.1.Ebs.SnapshotId') ?? '';
  if ((registered?.get('UefiData') ?? '') === '') throw new Error('the AMI has no Secure Boot variables');
  const file = await open(join(place, 'disk.raw'), 'w');
  try {
    await file.truncate(gib * 2 ** 30);
    const {Blocks} = await ebs.listSnapshotBlocks({SnapshotId});
    for (const {BlockIndex = 0, BlockToken = ''} of Blocks ?? []) {
      const {BlockData} = await ebs.getSnapshotBlock({SnapshotId, BlockIndex, BlockToken});
      const data = Buffer.from((await BlockData?.transformToByteArray()) ?? []);
      await file.write(data, 0, data.length, BlockIndex * BLOCK_BYTES);
    }
  } finally {
    await file.close();
  }
  await copyFile(join(image, 'ovmf-vars-secboot.fd'), join(place, 'vars.fd'));
}
