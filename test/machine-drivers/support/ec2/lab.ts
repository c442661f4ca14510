/** moto, our proxy before it, and an image to start from: what a test of the amazonec2 driver stands on. */
import type {EC2, Instance} from '@aws-sdk/client-ec2';
import {EC2 as Ec2Api} from '@aws-sdk/client-ec2';
import {amazonec2Driver} from '../../../../machine-drivers/drivers/amazonec2/index.ts';
import {configureEc2, type Ec2Settings} from '../../../../machine-drivers/drivers/amazonec2/settings.ts';
import type {Driver} from '../../../../machine-drivers/driver.ts';
import type {FlagValues} from '../../../../services/common/command.ts';
import {hurried} from '../hurried.ts';
import {findMoto, startMoto} from './moto.ts';
import {accessKey, awsEnv, secretKey, startProxy, type Ec2Proxy} from './proxy.ts';

// Wherever the SDK looks for credentials, it asks no metadata service.
process.env['AWS_EC2_METADATA_DISABLED'] = 'true';

export const region = 'us-east-1';

export interface Ec2Lab extends AsyncDisposable {
  readonly proxy: Ec2Proxy;
  /** moto itself, without the proxy: what there really is. */
  readonly truth: EC2;
  readonly ami: string;
  /** The driver with a clock that runs 40 times as fast. */
  readonly driver: Driver;
  settings(
    flags?: Readonly<Record<string, string | boolean | number | readonly string[]>>,
  ): Promise<Ec2Settings>;
  /** Alive ones, and groups and volumes with the machine's tag. */
  count(uuid: string): Promise<Readonly<Record<string, number>>>;
  instances(uuid: string): Promise<readonly Instance[]>;
  /** The machine's instances end, and no call of ours did it. */
  vanish(uuid: string): Promise<void>;
  groupsNamed(name: string): Promise<readonly string[]>;
}

/** Undefined where there is no Python to run moto with. */
export async function openLab(): Promise<Ec2Lab | undefined> {
  const python = await findMoto();
  if (python === undefined) return undefined;
  const moto = await startMoto(python);
  const proxy = await startProxy(moto.port);
  const client = (endpoint: string) =>
    new Ec2Api({region, endpoint, credentials: {accessKeyId: accessKey, secretAccessKey: secretKey}});
  const truth = client(`http://127.0.0.1:${moto.port}`);
  const behind = client(proxy.url);
  const ami = await registerImage(behind);
  behind.destroy();
  const instances = async (uuid: string) => {
    const {Reservations} = await truth.describeInstances({
      Filters: [{Name: 'tag:hawser:uuid', Values: [uuid]}],
    });
    return (Reservations ?? []).flatMap(reservation => reservation.Instances ?? []);
  };
  return {
    proxy,
    truth,
    ami,
    driver: hurried(amazonec2Driver, 40),
    settings: flags =>
      configureEc2(flagValues(proxy.url, ami, flags ?? {}), {
        cwd: '/',
        env: awsEnv,
        paths: {home: '/', cache: '/'},
      }),
    instances,
    count: async uuid => {
      const Filters = [{Name: 'tag:hawser:uuid', Values: [uuid]}];
      const {SecurityGroups} = await truth.describeSecurityGroups({Filters});
      const {Volumes} = await truth.describeVolumes({Filters});
      return {
        instances: (await instances(uuid)).filter(one => one.State?.Name !== 'terminated').length,
        groups: SecurityGroups?.length ?? 0,
        volumes: Volumes?.length ?? 0,
      };
    },
    vanish: async uuid => {
      for (const {InstanceId: id = ''} of await instances(uuid)) {
        await truth.terminateInstances({InstanceIds: [id]});
        proxy.model.end(id);
      }
    },
    groupsNamed: async name => {
      const {SecurityGroups} = await truth.describeSecurityGroups({
        Filters: [{Name: 'group-name', Values: [name]}],
      });
      return (SecurityGroups ?? []).flatMap(group => group.GroupId ?? []);
    },
    [Symbol.asyncDispose]: async () => {
      truth.destroy();
      await proxy[Symbol.asyncDispose]();
      await moto[Symbol.asyncDispose]();
    },
  };
}

/** Resources that machines of one store have in common, or may. */
export const shared = [
  'owner',
  'created',
  'ami',
  'rootDevice',
  'vpc',
  'subnet',
  'zone',
  'fleetGroup',
  'attempt',
  'publicAddress',
  'privateAddress',
  'ipv6Address',
];

export function flagValues(
  endpoint: string,
  ami: string,
  more: Readonly<Record<string, string | boolean | number | readonly string[]>>,
): FlagValues {
  return new Map<string, string | boolean | number | readonly string[]>([
    ['amazonec2-region', region],
    ['amazonec2-endpoint', endpoint],
    ['amazonec2-ami', ami],
    ['amazonec2-address-service', `${endpoint}/my-address`],
    ...Object.entries(more),
  ]);
}

async function registerImage(api: EC2): Promise<string> {
  const {ImageId} = await api.registerImage({
    Name: 'test',
    Architecture: 'x86_64',
    RootDeviceName: '/dev/xvda',
    BootMode: 'uefi',
    ImdsSupport: 'v2.0',
    TpmSupport: 'v2.0',
  });
  if (ImageId === undefined) throw new Error('moto registered no image');
  return ImageId;
}
