/** The RunInstances request of a machine, as data. Pure: the same machine gives the same bytes. */
import type {RunInstancesCommandInput} from '@aws-sdk/client-ec2';
import type {Tag} from './names.ts';
import type {Placement} from './placement.ts';
import type {Ec2Settings} from './settings.ts';

export interface Launch {
  readonly settings: Ec2Settings;
  readonly placement: Placement;
  /** Ids. */
  readonly groups: readonly string[];
  readonly tags: readonly Tag[];
  /** Base64. */
  readonly userData: string;
  readonly token: string;
}

/** The SDK's enumerations are unions of all values of the day; what AWS has beyond them is for AWS to judge. */
type InstanceType = NonNullable<RunInstancesCommandInput['InstanceType']>;
type VolumeType = 'gp3' | 'gp2' | 'io1' | 'io2' | 'st1' | 'sc1' | 'standard';

export function launchRequest({
  settings,
  placement,
  groups,
  tags,
  userData,
  token,
}: Launch): RunInstancesCommandInput {
  const {disk, instanceProfile} = settings;
  return {
    ClientToken: token,
    MinCount: 1,
    MaxCount: 1,
    ImageId: placement.ami,
    InstanceType: settings.instanceType as InstanceType,
    UserData: userData,
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: placement.subnet,
        ...(groups.length === 0 ? {} : {Groups: [...groups]}),
        DeleteOnTermination: true,
        AssociatePublicIpAddress: settings.publicIpv4,
        ...(settings.ipv6 ? {Ipv6AddressCount: 1} : {}),
        ...(settings.primaryIpv6 ? {PrimaryIpv6: true} : {}),
      },
    ],
    BlockDeviceMappings: [
      {
        DeviceName: placement.rootDevice,
        Ebs: {
          VolumeSize: disk.gib,
          VolumeType: disk.type as VolumeType,
          DeleteOnTermination: true,
          ...(disk.iops === undefined ? {} : {Iops: disk.iops}),
          ...(disk.throughput === undefined ? {} : {Throughput: disk.throughput}),
          ...(disk.encrypted ? {Encrypted: true} : {}),
          ...(disk.kmsKey === undefined ? {} : {KmsKeyId: disk.kmsKey}),
        },
      },
    ],
    // Version 2 alone, and not for containers, whose packets have one hop more.
    MetadataOptions: {
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: settings.hopLimit,
      ...(settings.ipv6 && !settings.publicIpv4 ? {HttpProtocolIpv6: 'enabled'} : {}),
    },
    Monitoring: {Enabled: settings.monitoring},
    ...(settings.ebsOptimized ? {EbsOptimized: true} : {}),
    ...(instanceProfile === undefined
      ? {}
      : {
          IamInstanceProfile: instanceProfile.startsWith('arn:')
            ? {Arn: instanceProfile}
            : {Name: instanceProfile},
        }),
    ...(settings.spot === undefined ? {} : {InstanceMarketOptions: market(settings.spot)}),
    InstanceInitiatedShutdownBehavior: settings.spot === undefined ? 'stop' : 'terminate',
    TagSpecifications: (settings.spot === undefined
      ? (['instance', 'volume', 'network-interface'] as const)
      : (['instance', 'volume', 'network-interface', 'spot-instances-request'] as const)
    ).map(ResourceType => ({ResourceType, Tags: [...tags]})),
  };
}

function market({
  price,
}: NonNullable<Ec2Settings['spot']>): NonNullable<RunInstancesCommandInput['InstanceMarketOptions']> {
  return {
    MarketType: 'spot',
    SpotOptions: {
      SpotInstanceType: 'one-time',
      InstanceInterruptionBehavior: 'terminate',
      ...(price === undefined ? {} : {MaxPrice: price}),
    },
  };
}
