/** The parts of the amazonec2 driver that only compute: flags, names, user data, requests, errors. */
import {gunzipSync, inflateSync} from 'node:zlib';
import test from 'ava';
import {clientToken, machineTags} from '../../machine-drivers/drivers/amazonec2/names.ts';
import {awsCode, explain, isNotFound} from '../../machine-drivers/drivers/amazonec2/aws-errors.ts';
import {environmentCredentials, placeOf} from '../../machine-drivers/drivers/amazonec2/client.ts';
import {ec2Flags} from '../../machine-drivers/drivers/amazonec2/flags.ts';
import {gather} from '../../machine-drivers/drivers/amazonec2/found.ts';
import {newestByUuid, observationOf} from '../../machine-drivers/drivers/amazonec2/instances.ts';
import {launchRequest} from '../../machine-drivers/drivers/amazonec2/launch.ts';
import {configureEc2} from '../../machine-drivers/drivers/amazonec2/settings.ts';
import {USER_DATA_LIMIT, userDataOf} from '../../machine-drivers/drivers/amazonec2/user-data.ts';
import {parseCidr, parseOpenPort, parseTags} from '../../machine-drivers/drivers/amazonec2/values.ts';
import {crc32c, readAuthFile, uefiData} from '../../machine-drivers/drivers/amazonec2/publish/uefi-data.ts';
import {MachineError} from '../../machine-drivers/errors.ts';
import {sha256} from '../../services/common/hash.ts';

/** docker-machine 0.16's flags of this driver, and those that its forks at Rancher and GitLab added for the metadata service. */
const theirs = `
  access-key secret-key session-token ami region vpc-id zone subnet-id security-group
  security-group-readonly open-port tags instance-type device-name root-size volume-type
  iam-instance-profile ssh-keypath keypair-name ssh-user ssh-port request-spot-instance
  spot-price block-duration-minutes private-address-only use-private-address monitoring
  use-ebs-optimized-instance retries endpoint insecure-transport userdata metadata-token
  metadata-token-response-hop-limit
`
  .trim()
  .split(/\s+/);

const configure = (flags: Readonly<Record<string, string | boolean | number | readonly string[]>>) =>
  configureEc2(new Map(Object.entries({'amazonec2-region': 'eu-central-1', ...flags})), {
    cwd: '/',
    env: {},
    paths: {home: '/', cache: '/'},
  });

test("each of docker-machine's flags is taken, or refused with what to do instead", t => {
  for (const name of theirs) {
    const flag = ec2Flags.find(one => one.name === `amazonec2-${name}`);
    t.truthy(flag, name);
    if (flag?.refused !== undefined) t.regex(flag.refused, /--|leave the flag out/, name);
  }
  const refused = ec2Flags.filter(flag => flag.refused !== undefined).map(flag => flag.name);
  t.deepEqual(refused.map(name => name.replace('amazonec2-', '')).sort(), [
    'access-key',
    'block-duration-minutes',
    'device-name',
    'keypair-name',
    'secret-key',
    'session-token',
    'ssh-keypath',
    'userdata',
  ]);
});

test('settings: defaults, addresses, spot', async t => {
  const plain = await configure({});
  t.like(plain, {
    instanceType: 't3.micro',
    disk: {gib: 16, type: 'gp3', encrypted: false},
    hopLimit: 1,
    publicIpv4: true,
    reach: 'public',
    sshPort: 22,
  });
  t.is(plain.allow, undefined);
  t.is(plain.spot, undefined);
  t.like(await configure({'amazonec2-private-address-only': true}), {publicIpv4: false, reach: 'private'});
  t.like(await configure({'amazonec2-use-private-address': true}), {publicIpv4: true, reach: 'private'});
  t.like(await configure({'amazonec2-ipv6-only': true}), {publicIpv4: false, ipv6: true, reach: 'ipv6'});
  t.deepEqual((await configure({'amazonec2-request-spot-instance': true})).spot, {});
  t.deepEqual(
    (await configure({'amazonec2-request-spot-instance': true, 'amazonec2-spot-price': '0.5'})).spot,
    {price: '0.5'},
  );
  t.is((await configure({'amazonec2-zone': 'b'})).zone, 'eu-central-1b');
  t.is(
    (await configure({'amazonec2-endpoint': '127.0.0.1:5000', 'amazonec2-insecure-transport': true}))
      .connection.endpoint,
    'http://127.0.0.1:5000',
  );
});

for (const [name, flags] of Object.entries({
  'an unknown volume type': {'amazonec2-volume-type': 'floppy'},
  'a zone elsewhere': {'amazonec2-zone': 'us-west-2a'},
  'no region': {'amazonec2-region': 'the moon'},
  'version 1 of the metadata service': {'amazonec2-metadata-token': 'optional'},
  'a price that is none': {'amazonec2-request-spot-instance': true, 'amazonec2-spot-price': 'cheap'},
  'odd tags': {'amazonec2-tags': 'a,1,b'},
  'tags of ours': {'amazonec2-tags': 'hawser:uuid,x'},
  'a port that is none': {'amazonec2-open-port': ['70000']},
  'an address that is none': {'amazonec2-allow-cidr': ['me']},
  'ports on groups of others': {'amazonec2-security-group': ['web'], 'amazonec2-open-port': ['80']},
  'two ways in': {'amazonec2-ipv6-only': true, 'amazonec2-use-private-address': true},
})) {
  test(`refused with a remedy: ${name}`, async t => {
    const error = await t.throwsAsync(configure(flags), {instanceOf: MachineError, code: 'bad-setting'});
    t.truthy(error?.remedy);
  });
}

test('values of flags', t => {
  t.deepEqual(parseTags('team,web,stage,test'), {team: 'web', stage: 'test'});
  t.deepEqual(parseOpenPort('80'), {port: 80, protocol: 'tcp'});
  t.deepEqual(parseOpenPort('53/udp'), {port: 53, protocol: 'udp'});
  t.is(parseCidr('203.0.113.7'), '203.0.113.7/32');
  t.is(parseCidr('10.0.0.0/8'), '10.0.0.0/8');
  t.is(parseCidr('2001:db8::1'), '2001:db8::1/128');
});

test('a token is the same for the same machine, and another for another generation or attempt', t => {
  const machine = {uuid: 'a', generation: 1};
  t.is(clientToken(machine, 0), clientToken({...machine}, 0));
  t.is(clientToken(machine, 0).length, 64);
  const others = [
    clientToken(machine, 1),
    clientToken({...machine, generation: 2}, 0),
    clientToken({...machine, uuid: 'b'}, 0),
  ];
  t.is(new Set([clientToken(machine, 0), ...others]).size, 4);
});

test('tags of the operator never replace ours', t => {
  const machine = {
    uuid: 'u',
    name: 'web',
    generation: 2,
    resources: {owner: 'ann', created: '2026-01-01T00:00:00Z'},
  };
  const tags = machineTags(machine, 'fleet', {Name: 'mine', team: 'x'});
  t.deepEqual(Object.fromEntries(tags.map(({Key, Value}) => [Key, Value])), {
    Name: 'mine',
    team: 'x',
    'hawser:uuid': 'u',
    'hawser:machine': 'web',
    'hawser:generation': '2',
    'hawser:fleet': 'fleet',
    'hawser:owner': 'ann',
    'hawser:created': '2026-01-01T00:00:00Z',
  });
});

test('user data: as it is, else compressed within, else refused', t => {
  t.is(Buffer.from(userDataOf('{"a":1}'), 'base64').toString(), '{"a":1}');
  const exact = 'x'.repeat(USER_DATA_LIMIT);
  t.is(Buffer.from(userDataOf(exact), 'base64').toString(), exact);
  const large = JSON.stringify({files: Array.from({length: 3000}, (_, index) => `/etc/file-${index}`)});
  const packed = Buffer.from(userDataOf(large), 'base64');
  t.true(packed.length <= USER_DATA_LIMIT);
  const {ignition} = JSON.parse(packed.toString()) as {
    ignition: {version: string; config: {replace: {source: string; compression: string}}};
  };
  t.is(ignition.version, '3.3.0');
  t.is(ignition.config.replace.compression, 'gzip');
  const body = Buffer.from(ignition.config.replace.source.replace('data:;base64,', ''), 'base64');
  t.is(gunzipSync(body).toString(), large);
  t.is(userDataOf(large), userDataOf(large));
  let noise = '';
  for (let index = 0; index < 600; index++) noise += sha256(String(index));
  t.throws(() => userDataOf(noise), {code: 'bad-setting', message: /too large for EC2/});
});

test('the request: version 2 of the metadata service, one hop, gp3, tags on all, no key pair', async t => {
  const settings = await configure({});
  const placement = {ami: 'ami-1', rootDevice: '/dev/xvda', vpc: 'vpc-1', subnet: 'subnet-1', zone: 'z'};
  const launch = {
    settings,
    placement,
    groups: ['sg-1', 'sg-2'],
    tags: [{Key: 'a', Value: 'b'}],
    userData: 'e30=',
    token: 'T',
  };
  const request = launchRequest(launch);
  t.deepEqual(request.MetadataOptions, {
    HttpEndpoint: 'enabled',
    HttpTokens: 'required',
    HttpPutResponseHopLimit: 1,
  });
  t.like(request.BlockDeviceMappings?.[0], {
    DeviceName: '/dev/xvda',
    Ebs: {VolumeSize: 16, VolumeType: 'gp3', DeleteOnTermination: true},
  });
  t.deepEqual(
    request.TagSpecifications?.map(one => one.ResourceType),
    ['instance', 'volume', 'network-interface'],
  );
  t.is(request.ClientToken, 'T');
  t.false('KeyName' in request);
  t.like(request.NetworkInterfaces?.[0], {
    SubnetId: 'subnet-1',
    Groups: ['sg-1', 'sg-2'],
    AssociatePublicIpAddress: true,
  });

  const spot = launchRequest({
    ...launch,
    settings: await configure({
      'amazonec2-request-spot-instance': true,
      'amazonec2-spot-price': '0.1',
      'amazonec2-ipv6-only': true,
    }),
  });
  t.deepEqual(spot.InstanceMarketOptions, {
    MarketType: 'spot',
    SpotOptions: {SpotInstanceType: 'one-time', InstanceInterruptionBehavior: 'terminate', MaxPrice: '0.1'},
  });
  t.true(spot.TagSpecifications?.some(one => one.ResourceType === 'spot-instances-request'));
  t.like(spot.NetworkInterfaces?.[0], {Ipv6AddressCount: 1, AssociatePublicIpAddress: false});
  t.is(spot.MetadataOptions?.HttpProtocolIpv6, 'enabled');
});

test('errors of AWS say what to do', t => {
  const named = (name: string, more: object = {}) =>
    Object.assign(new Error('as AWS puts it'), {name, ...more});
  const meaning = (name: string, more: object = {}) => {
    const error = explain(named(name, more), 'do it');
    t.true(error instanceof MachineError, name);
    if (!(error instanceof MachineError)) return '';
    t.is(awsCode(error), name);
    t.truthy(error.remedy, name);
    t.regex(error.message, /^could not do it: /);
    return error.code;
  };
  for (const name of [
    'AuthFailure',
    'UnauthorizedOperation',
    'CredentialsProviderError',
    'TokenProviderError',
    'ExpiredToken',
  ])
    t.is(meaning(name), 'credentials', name);
  for (const name of [
    'VcpuLimitExceeded',
    'InstanceLimitExceeded',
    'InsufficientInstanceCapacity',
    'SpotMaxPriceTooLow',
    'SecurityGroupLimitExceeded',
    'MaxSpotInstanceCountExceeded',
  ])
    t.is(meaning(name), 'quota', name);
  for (const name of ['RequestLimitExceeded', 'ThrottlingException', 'TimeoutError'])
    t.is(meaning(name), 'unreachable', name);
  t.is(meaning('Error', {code: 'ECONNREFUSED'}), 'unreachable');
  t.is(meaning('InternalError', {$fault: 'server'}), 'unreachable');
  t.is(meaning('InvalidAMIID.NotFound'), 'bad-setting');
  const unknown = explain(named('SomethingNew'), 'do it');
  t.is(unknown instanceof MachineError && unknown.code, 'driver-failed');
  t.true(isNotFound(explain(named('InvalidGroup.NotFound'), 'x')));
});

test('of several instances of a machine the living one counts, and an ended one tells why', t => {
  const tags = [{Key: 'hawser:uuid', Value: 'u'}];
  const dead = {InstanceId: 'i-1', Tags: tags, State: {Name: 'terminated' as const}};
  const alive = {
    InstanceId: 'i-2',
    Tags: tags,
    State: {Name: 'running' as const},
    PublicIpAddress: '203.0.113.1',
  };
  t.is(newestByUuid([dead, alive]).get('u'), alive);
  t.is(newestByUuid([alive, dead]).get('u'), alive);
  t.like(observationOf(alive), {state: 'Running', resources: {publicAddress: '203.0.113.1'}});
  const taken = {
    ...dead,
    StateReason: {
      Code: 'Server.SpotInstanceTermination',
      Message: 'Server.SpotInstanceTermination: Spot instance termination',
    },
  };
  t.like(observationOf(taken), {
    state: 'None',
    detail: 'AWS took the spot instance back (Server.SpotInstanceTermination)',
  });
});

test('found pieces are gathered by machine; the group that all share belongs to none', t => {
  const tags = [
    {Key: 'hawser:uuid', Value: 'u'},
    {Key: 'hawser:machine', Value: 'web'},
    {Key: 'hawser:generation', Value: '3'},
    {Key: 'hawser:created', Value: 'then'},
  ];
  const found = gather([
    {tags, what: 'instance i-1', resources: {instance: 'i-1'}},
    {tags, what: 'security group sg-1', resources: {group: 'sg-1'}},
    {tags: [{Key: 'hawser:fleet', Value: 'f'}], what: 'security group sg-2', resources: {group: 'sg-2'}},
  ]);
  t.deepEqual(found, [
    {
      uuid: 'u',
      name: 'web',
      generation: 3,
      created: 'then',
      what: 'instance i-1, security group sg-1',
      resources: {instance: 'i-1', group: 'sg-1'},
    },
  ]);
});

test('places and credentials', t => {
  t.is(placeOf({region: 'r', attempts: 1}), 'aws r');
  t.is(placeOf({region: 'r', attempts: 1, profile: 'dev', endpoint: 'http://x'}), 'http://x r dev');
  t.is(environmentCredentials({}), undefined);
  t.is(environmentCredentials({AWS_ACCESS_KEY_ID: 'a'}), undefined);
  t.deepEqual(environmentCredentials({AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b'}), {
    accessKeyId: 'a',
    secretAccessKey: 'b',
  });
});

test('Secure Boot variables: what the documented reader of the format finds', t => {
  // RFC 3720, appendix B.4
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.is(crc32c(Uint8Array.from({length: 32}, (_, index) => index)), 0x46dd794e);
  const time = Uint8Array.from({length: 16}, (_, index) => index);
  const certificate = Buffer.alloc(30, 7);
  certificate.writeUInt32LE(30);
  const variable = readAuthFile('PK', Buffer.concat([time, certificate, Buffer.from('the lists')]));
  const blob = Buffer.from(uefiData([variable]), 'base64');
  t.is(blob.subarray(0, 8).toString(), 'AMZNUEFI');
  t.is(blob.readUInt32LE(8), crc32c(blob.subarray(12)));
  t.is(blob.readUInt32LE(12), 0);
  const raw = inflateSync(blob.subarray(16));
  let at = 0;
  const number = () => Number(raw.readBigUInt64LE((at += 8) - 8));
  const take = (length: number) => raw.subarray(at, (at += length));
  t.is(number(), 1);
  t.is(take(number()).toString(), 'PK');
  t.is(take(number()).toString(), 'the lists');
  t.is(take(16).toString('hex'), '61dfe48bca93d211aa0d00e098032b8c');
  t.is(take(4).readUInt32LE(), 0x27);
  t.deepEqual([...take(16)], [...time]);
  t.deepEqual([...take(number())], Array<number>(32).fill(0));
  t.is(at, raw.length);
  t.throws(() => readAuthFile('PK', new Uint8Array(10)), {code: 'bad-setting'});
});
