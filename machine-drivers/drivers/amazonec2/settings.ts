/** What an EC2 machine can be told: flags in, the settings that its record keeps out. */
import {resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {flagBoolean, flagInteger, flagList, flagString} from '../../../services/common/command.ts';
import type {FlagValues} from '../../../services/common/command.ts';
import {parseValue} from '../../../services/common/parse.ts';
import type {ConfigureContext} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {configuredRegion, Connection} from './client.ts';
import {
  badSetting,
  inRange,
  OpenPort,
  parseCidr,
  parseOpenPort,
  parseTags,
  Port,
  zoneName,
} from './values.ts';

export const Ec2Settings = Type.Object({
  connection: Connection,
  ami: Type.Optional(Type.String()),
  /** Absolute: the folder of the built image whose publication is to be used. */
  image: Type.Optional(Type.String()),
  instanceType: Type.String(),
  vpc: Type.Optional(Type.String()),
  /** Full name, for instance us-east-1a. */
  zone: Type.Optional(Type.String()),
  subnet: Type.Optional(Type.String()),
  /** Names or ids of existing groups; none: groups of our own. */
  securityGroups: Type.Array(Type.String()),
  /** Who may come in, as CIDR; absent: the caller's own address, asked for at the address service. */
  allow: Type.Optional(Type.Array(Type.String())),
  addressService: Type.String(),
  openPorts: Type.Array(OpenPort),
  tags: Type.Record(Type.String(), Type.String()),
  disk: Type.Object({
    gib: Type.Integer({minimum: 1, maximum: 65_536}),
    type: Type.String(),
    iops: Type.Optional(Type.Integer({minimum: 1})),
    throughput: Type.Optional(Type.Integer({minimum: 1})),
    encrypted: Type.Boolean(),
    kmsKey: Type.Optional(Type.String()),
  }),
  instanceProfile: Type.Optional(Type.String()),
  sshPort: Port,
  sshUser: Type.Optional(Type.String()),
  spot: Type.Optional(Type.Object({price: Type.Optional(Type.String())})),
  publicIpv4: Type.Boolean(),
  ipv6: Type.Boolean(),
  primaryIpv6: Type.Boolean(),
  /** By which of its addresses we reach it. */
  reach: Type.Union([Type.Literal('public'), Type.Literal('private'), Type.Literal('ipv6')]),
  monitoring: Type.Boolean(),
  ebsOptimized: Type.Boolean(),
  hopLimit: Type.Integer({minimum: 1, maximum: 64}),
});
export type Ec2Settings = Static<typeof Ec2Settings>;

export function readSettings(settings: unknown): Ec2Settings {
  return parseValue(Ec2Settings, settings, 'the settings of the amazonec2 machine');
}

const DEFAULT_REGION = 'us-east-1';

/** Throws `bad-setting` for a value that cannot be meant. */
export async function configureConnection(
  flags: FlagValues,
  {env}: Pick<ConfigureContext, 'env'>,
): Promise<Connection> {
  const profile = flagString(flags, 'amazonec2-profile');
  const endpoint = endpointOf(flags);
  const region =
    flagString(flags, 'amazonec2-region') ??
    nonEmpty(env['AWS_REGION']) ??
    (await configuredRegion(profile)) ??
    DEFAULT_REGION;
  if (!/^[a-z]{2}(-[a-z0-9]+)+-\d+$/.test(region))
    throw badSetting('amazonec2-region', region, 'for instance eu-central-1');
  return {
    region,
    attempts: inRange('amazonec2-retries', flagInteger(flags, 'amazonec2-retries') ?? 5, 0, 99) + 1,
    ...(profile === undefined ? {} : {profile}),
    ...(endpoint === undefined ? {} : {endpoint}),
  };
}

/** Throws `bad-setting` for a value that cannot be meant. */
export async function configureEc2(flags: FlagValues, from: ConfigureContext): Promise<Ec2Settings> {
  const connection = await configureConnection(flags, from);
  const optional = <Name extends string>(name: Name, value: string | undefined) =>
    (value === undefined ? {} : {[name]: value}) as {[key in Name]?: string};
  const image = flagString(flags, 'image');
  const ami = flagString(flags, 'amazonec2-ami');
  const zone = flagString(flags, 'amazonec2-zone');
  const allow = flagList(flags, 'amazonec2-allow-cidr').map(parseCidr);
  const securityGroups = [...flagList(flags, 'amazonec2-security-group')];
  const openPorts = flagList(flags, 'amazonec2-open-port').map(parseOpenPort);
  if (securityGroups.length > 0 && (openPorts.length > 0 || allow.length > 0)) {
    throw new MachineError('bad-setting', 'groups given by --amazonec2-security-group are used as they are', {
      remedy:
        'open the ports in that group yourself, or leave the flag out and let the machine have its own group',
    });
  }
  if ((flagString(flags, 'amazonec2-metadata-token') ?? 'required') !== 'required') {
    throw badSetting(
      'amazonec2-metadata-token',
      flagString(flags, 'amazonec2-metadata-token') ?? '',
      'only version 2 of the metadata service is served; leave the flag out',
    );
  }
  return {
    connection,
    ...optional('ami', ami),
    // An image file that comes from HAWSER_IMAGE says nothing where an AMI is given.
    ...optional('image', image === undefined || ami !== undefined ? undefined : resolve(from.cwd, image)),
    instanceType: flagString(flags, 'amazonec2-instance-type') ?? 't3.micro',
    ...optional('vpc', flagString(flags, 'amazonec2-vpc-id')),
    ...optional('zone', zone === undefined ? undefined : zoneName(connection.region, zone)),
    ...optional('subnet', flagString(flags, 'amazonec2-subnet-id')),
    securityGroups,
    ...(allow.length === 0 ? {} : {allow}),
    addressService: flagString(flags, 'amazonec2-address-service') ?? 'https://checkip.amazonaws.com',
    openPorts,
    tags: parseTags(flagString(flags, 'amazonec2-tags') ?? ''),
    disk: diskOf(flags),
    ...optional('instanceProfile', flagString(flags, 'amazonec2-iam-instance-profile')),
    sshPort: inRange('amazonec2-ssh-port', flagInteger(flags, 'amazonec2-ssh-port') ?? 22, 1, 65_535),
    ...optional('sshUser', flagString(flags, 'amazonec2-ssh-user')),
    ...spotOf(flags),
    ...addressesOf(flags),
    monitoring: flagBoolean(flags, 'amazonec2-monitoring'),
    ebsOptimized: flagBoolean(flags, 'amazonec2-use-ebs-optimized-instance'),
    hopLimit: inRange(
      'amazonec2-metadata-token-response-hop-limit',
      flagInteger(flags, 'amazonec2-metadata-token-response-hop-limit') ?? 1,
      1,
      64,
    ),
  };
}

function addressesOf(flags: FlagValues): Pick<Ec2Settings, 'publicIpv4' | 'ipv6' | 'primaryIpv6' | 'reach'> {
  const privateOnly = flagBoolean(flags, 'amazonec2-private-address-only');
  const ipv6Only = flagBoolean(flags, 'amazonec2-ipv6-only');
  const primaryIpv6 = flagBoolean(flags, 'amazonec2-primary-ipv6');
  const usePrivate = privateOnly || flagBoolean(flags, 'amazonec2-use-private-address');
  if (ipv6Only && usePrivate)
    throw new MachineError('bad-setting', '--amazonec2-ipv6-only and a private address exclude each other', {
      remedy: 'give one of them',
    });
  return {
    publicIpv4: !privateOnly && !ipv6Only,
    ipv6: ipv6Only || primaryIpv6 || flagBoolean(flags, 'amazonec2-ipv6'),
    primaryIpv6,
    reach: usePrivate ? 'private' : ipv6Only ? 'ipv6' : 'public',
  };
}

function spotOf(flags: FlagValues): Pick<Ec2Settings, 'spot'> {
  const price = flagString(flags, 'amazonec2-spot-price');
  if (!flagBoolean(flags, 'amazonec2-request-spot-instance')) return {};
  if (price !== undefined && !(Number(price) > 0))
    throw badSetting('amazonec2-spot-price', price, 'for instance 0.05');
  return {spot: price === undefined ? {} : {price}};
}

const volumeTypes = ['gp3', 'gp2', 'io1', 'io2', 'st1', 'sc1', 'standard'];

function diskOf(flags: FlagValues): Ec2Settings['disk'] {
  const type = flagString(flags, 'amazonec2-volume-type') ?? 'gp3';
  if (!volumeTypes.includes(type))
    throw badSetting('amazonec2-volume-type', type, `give one of ${volumeTypes.join(', ')}`);
  const iops = flagInteger(flags, 'amazonec2-volume-iops');
  const throughput = flagInteger(flags, 'amazonec2-volume-throughput');
  const kmsKey = flagString(flags, 'amazonec2-kms-key');
  return {
    gib: inRange('amazonec2-root-size', flagInteger(flags, 'amazonec2-root-size') ?? 16, 1, 65_536),
    type,
    encrypted: flagBoolean(flags, 'amazonec2-encrypt-ebs-volume') || kmsKey !== undefined,
    ...(kmsKey === undefined ? {} : {kmsKey}),
    ...(iops === undefined ? {} : {iops: inRange('amazonec2-volume-iops', iops, 1, 256_000)}),
    ...(throughput === undefined
      ? {}
      : {throughput: inRange('amazonec2-volume-throughput', throughput, 1, 4000)}),
  };
}

function endpointOf(flags: FlagValues): string | undefined {
  const given = flagString(flags, 'amazonec2-endpoint');
  if (given === undefined) return undefined;
  const scheme = flagBoolean(flags, 'amazonec2-insecure-transport') ? 'http' : 'https';
  const url = /^https?:\/\//.test(given) ? given : `${scheme}://${given}`;
  if (!URL.canParse(url)) throw badSetting('amazonec2-endpoint', given, 'give a URL');
  return url;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
