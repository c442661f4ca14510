/** The amazonec2 driver when the cloud misbehaves: lost answers, throttling, quotas, slow states, spot instances. */
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext} from 'ava';
import {silentProgress} from '../../services/common/progress.ts';
import {fleetGroupName, ingressGroupName} from '../../machine-drivers/drivers/amazonec2/names.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {MachineError} from '../../machine-drivers/errors.ts';
import {killMachine, removeMachine, startMachine} from '../../machine-drivers/lifecycle.ts';
import {loadMachine, type MachineDeps} from '../../machine-drivers/machine.ts';
import {observeStored} from '../../machine-drivers/observation.ts';
import {configureEc2} from '../../machine-drivers/drivers/amazonec2/settings.ts';
import {flagValues, openLab, type Ec2Lab} from './support/ec2/lab.ts';
import {accessKey, awsEnv, secretKey} from './support/ec2/proxy.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const quiet = {progress: silentProgress, warn: () => undefined};
const lab = await openLab();
const test = anyTest.serial;

type Flags = Parameters<Ec2Lab['settings']>[0];

interface Bench {
  readonly lab: Ec2Lab;
  readonly deps: MachineDeps;
  readonly create: (name: string, flags?: Flags) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  readonly uuid: (name: string) => Promise<string>;
}

async function bench(t: ExecutionContext, lab: Ec2Lab): Promise<Bench> {
  const plain = await stubDeps(await temporaryFolder(t), [lab.driver]);
  const deps = {...plain, runtime: {...plain.runtime, env: awsEnv}};
  t.teardown(async () => {
    Object.assign(lab.proxy.model.delays, {hidden: 0, pending: 0, stopping: 0, shuttingDown: 0});
    for (const name of await deps.store.names()) await removeMachine(deps, name, true, quiet);
  });
  return {
    lab,
    deps,
    create: async (name, flags) =>
      createMachine(
        deps,
        {name, driver: 'amazonec2', settings: await lab.settings(flags), seconds: 5},
        silentProgress,
      ),
    remove: name => removeMachine(deps, name, false, quiet),
    uuid: async name => (await loadMachine(deps.store, name)).record.uuid,
  };
}

const one = {instances: 1, groups: 1, volumes: 1};
const none = {instances: 0, groups: 0, volumes: 0};

function declare(title: string, work: (t: ExecutionContext, bench: Bench) => Promise<void>): void {
  if (lab === undefined) return;
  test(title, async t => work(t, await bench(t, lab)));
}

if (lab === undefined) test('SKIPPED: there is no Python to run moto with', t => t.pass());
else anyTest.after.always(() => lab[Symbol.asyncDispose]());

declare(
  'on the wire: version 2 of the metadata service, tags on all, no key pair, only the caller may come in',
  async (t, {lab, create, uuid}) => {
    const before = lab.proxy.calls.length;
    await create('web', {'amazonec2-tags': 'team,x', 'amazonec2-open-port': ['80', '53/udp']});
    const calls = lab.proxy.calls.slice(before);
    const run = calls.find(call => call.action === 'RunInstances')?.parameters;
    t.is(run?.get('MetadataOptions.HttpTokens'), 'required');
    t.is(run?.get('MetadataOptions.HttpPutResponseHopLimit'), '1');
    t.is(run?.get('BlockDeviceMapping.1.Ebs.VolumeType'), 'gp3');
    t.is(run?.get('KeyName'), null);
    t.is(run?.get('ClientToken')?.length, 64);
    const kinds = ['1', '2', '3'].map(index => run?.get(`TagSpecification.${index}.ResourceType`));
    t.deepEqual(kinds, ['instance', 'volume', 'network-interface']);
    t.false(calls.some(call => /KeyPair/.test(call.action)));
    const id = await uuid('web');
    const [group] =
      (
        await lab.truth.describeSecurityGroups({
          Filters: [{Name: 'group-name', Values: [ingressGroupName(id)]}],
        })
      ).SecurityGroups ?? [];
    const rules = (group?.IpPermissions ?? []).flatMap(rule =>
      (rule.IpRanges ?? []).map(range => `${rule.IpProtocol} ${rule.FromPort} ${range.CidrIp}`),
    );
    t.deepEqual(rules.sort(), [
      'tcp 22 127.0.0.1/32',
      'tcp 2376 127.0.0.1/32',
      'tcp 80 127.0.0.1/32',
      'udp 53 127.0.0.1/32',
    ]);
    const [instance] = await lab.instances(id);
    const tags = Object.fromEntries((instance?.Tags ?? []).map(tag => [tag.Key, tag.Value]));
    t.like(tags, {Name: 'web', team: 'x', 'hawser:machine': 'web', 'hawser:owner': 'tester'});
  },
);

for (const action of [
  'CreateSecurityGroup',
  'AuthorizeSecurityGroupIngress',
  'RunInstances',
  'TerminateInstances',
  'DeleteSecurityGroup',
]) {
  for (const kind of ['forget', 'lose'] as const) {
    declare(
      `${action}, ${kind === 'forget' ? 'its answer' : 'the call itself'} lost once: exactly one, then none`,
      async (t, {lab, create, remove, uuid}) => {
        lab.proxy.fail({action, kind});
        await create('m');
        const id = await uuid('m');
        t.deepEqual(await lab.count(id), one);
        await remove('m');
        t.deepEqual(await lab.count(id), none);
        t.deepEqual(await lab.groupsNamed(ingressGroupName(id)), []);
      },
    );
  }
}

declare(
  'every answer to RunInstances lost: the creation fails, and the next one finds the instance',
  async (t, {lab, deps, create, uuid}) => {
    const settings = await lab.settings({'amazonec2-retries': 1});
    lab.proxy.fail({action: 'RunInstances', kind: 'forget', times: 2});
    await t.throwsAsync(
      createMachine(
        deps,
        {name: 'm', driver: 'amazonec2', settings, seconds: 5, onFailure: 'keep'},
        silentProgress,
      ),
      {code: 'unfinished'},
    );
    await create('m');
    t.deepEqual(await lab.count(await uuid('m')), one);
  },
);

declare(
  'killed after RunInstances, whose instance is not found at once: rm waits for it, and leaves nothing',
  async (t, {lab, deps, remove, uuid}) => {
    lab.proxy.model.delays.hidden = 400;
    const settings = await lab.settings({'amazonec2-retries': 0});
    lab.proxy.fail({action: 'RunInstances', kind: 'forget'});
    await t.throwsAsync(
      createMachine(
        deps,
        {name: 'm', driver: 'amazonec2', settings, seconds: 5, onFailure: 'keep'},
        silentProgress,
      ),
      {code: 'unfinished'},
    );
    const id = await uuid('m');
    t.deepEqual(await lab.count(id), one);
    await remove('m');
    t.deepEqual(await lab.count(id), none);
  },
);

declare(
  'states that take their time, and an instance that is unknown at first',
  async (t, {lab, deps, create, remove, uuid}) => {
    Object.assign(lab.proxy.model.delays, {hidden: 150, pending: 300, stopping: 100, shuttingDown: 200});
    await create('slow');
    const id = await uuid('slow');
    t.is((await observeStored(deps, await loadMachine(deps.store, 'slow'))).state, 'Running');
    await killMachine(deps, 'slow', silentProgress);
    await startMachine(deps, 'slow', 5, silentProgress);
    t.deepEqual(await lab.count(id), one);
    const refused = lab.proxy.count('DeleteSecurityGroup');
    await remove('slow');
    t.deepEqual(await lab.count(id), none);
    t.true(lab.proxy.count('DeleteSecurityGroup') > refused);
  },
);

declare('throttled a few times: it works all the same', async (t, {lab, create, uuid}) => {
  for (const action of ['DescribeSubnets', 'CreateSecurityGroup', 'RunInstances'])
    lab.proxy.fail({
      action,
      kind: 'refuse',
      status: 503,
      code: 'RequestLimitExceeded',
      message: 'Request limit exceeded.',
      times: 2,
    });
  await create('m');
  t.deepEqual(await lab.count(await uuid('m')), one);
});

for (const [code, status, expected, remedy] of [
  ['VcpuLimitExceeded', 400, 'quota', /quota/],
  ['InsufficientInstanceCapacity', 500, 'quota', /another --amazonec2-zone/],
  ['RequestLimitExceeded', 503, 'unreachable', /try again/],
  ['SpotMaxPriceTooLow', 400, 'quota', /spot-price/],
] as const) {
  declare(`${code}: a remedy, and nothing is left`, async (t, {lab, deps, create}) => {
    const groups = (await lab.truth.describeSecurityGroups({})).SecurityGroups?.length;
    lab.proxy.fail({action: 'RunInstances', kind: 'refuse', status, code, message: 'too much', times: 4});
    const error = await t.throwsAsync(create('m', {'amazonec2-retries': 1}), {instanceOf: MachineError});
    t.is(error?.code, expected);
    t.regex(error?.remedy ?? '', remedy);
    t.deepEqual(await deps.store.names(), []);
    t.is((await lab.truth.describeSecurityGroups({})).SecurityGroups?.length, groups);
    lab.proxy.forgive();
  });
}

for (const [title, flags, message] of [
  ['an unknown type', {'amazonec2-instance-type': 'x9.gigantic'}, /no instance type x9\.gigantic/],
  ['a type that does not boot by UEFI', {'amazonec2-instance-type': 't2.micro'}, /does not boot by UEFI/],
  [
    'a type of another architecture',
    {'amazonec2-instance-type': 't4g.micro'},
    /is arm64, the image is x86_64/,
  ],
  ['an unknown AMI', {'amazonec2-ami': 'ami-00000000000000000'}, /ami-00000000000000000/],
  ['an unknown subnet', {'amazonec2-subnet-id': 'subnet-00000000'}, /subnet-00000000/],
  ['an unknown security group', {'amazonec2-security-group': ['nobody']}, /no security group nobody/],
  [
    'no answer from the address service',
    {'amazonec2-address-service': 'http://127.0.0.1:9'},
    /what your own address is/,
  ],
  [
    'an API that does not answer',
    {'amazonec2-endpoint': 'http://127.0.0.1:9', 'amazonec2-retries': 0},
    /could not/,
  ],
] as const) {
  declare(`nothing is made for ${title}: exit code 3`, async (t, {deps, create}) => {
    const error = await t.throwsAsync(create('m', flags), {instanceOf: MachineError, code: 'check-failed'});
    t.regex(error?.message ?? '', message);
    t.is(error?.context['exitCode'], 3);
    t.truthy(error?.remedy);
    t.deepEqual(await deps.store.names(), []);
  });
}

declare('a spot instance that AWS takes back says so', async (t, {lab, deps, create, uuid}) => {
  await create('cheap', {'amazonec2-request-spot-instance': true});
  const [instance] = await lab.instances(await uuid('cheap'));
  const id = instance?.InstanceId ?? '';
  lab.proxy.model.giveReason(
    id,
    'Server.SpotInstanceTermination',
    'Server.SpotInstanceTermination: Spot instance termination',
  );
  await lab.vanish(await uuid('cheap'));
  const seen = await observeStored(deps, await loadMachine(deps.store, 'cheap'));
  t.is(seen.state, 'None');
  t.is(seen.detail, 'AWS took the spot instance back (Server.SpotInstanceTermination)');
});

declare(
  'an instance that ends while it is awaited: the reason; the next creation makes another',
  async (t, {lab, deps, create, uuid}) => {
    lab.proxy.model.delays.pending = 1500;
    const settings = await lab.settings();
    const failing = createMachine(
      deps,
      {name: 'm', driver: 'amazonec2', settings, seconds: 5, onFailure: 'keep'},
      silentProgress,
    );
    let first: string | undefined;
    while (first === undefined) {
      await new Promise(resolve => setTimeout(resolve, 20));
      const names = await deps.store.names();
      if (names.includes('m')) first = (await lab.instances(await uuid('m')))[0]?.InstanceId;
    }
    lab.proxy.model.giveReason(
      first,
      'Server.InternalError',
      'Server.InternalError: Internal error on launch',
    );
    await lab.vanish(await uuid('m'));
    await t.throwsAsync(failing, {code: 'unfinished', message: /Internal error on launch/});
    lab.proxy.model.delays.pending = 0;
    await create('m');
    t.deepEqual(await lab.count(await uuid('m')), one);
    const [second] = (await lab.instances(await uuid('m'))).filter(one => one.State?.Name !== 'terminated');
    t.not(second?.InstanceId, first);
  },
);

declare(
  'start lets in the address of today, and leaves the rules of others',
  async (t, {lab, deps, create, uuid}) => {
    await create('m', {'amazonec2-allow-cidr': ['198.51.100.7']});
    const id = await uuid('m');
    const [group = ''] = await lab.groupsNamed(ingressGroupName(id));
    const rule = (network: string, port: number, note?: string) => ({
      GroupId: group,
      IpPermissions: [
        {
          IpProtocol: 'tcp',
          FromPort: port,
          ToPort: port,
          IpRanges: [{CidrIp: network, ...(note === undefined ? {} : {Description: note})}],
        },
      ],
    });
    await lab.truth.authorizeSecurityGroupIngress(rule('203.0.113.0/24', 443));
    await lab.truth.authorizeSecurityGroupIngress(rule('192.0.2.1/32', 22, 'hawser: from the operator'));
    await killMachine(deps, 'm', silentProgress);
    await startMachine(deps, 'm', 5, silentProgress);
    const {SecurityGroups} = await lab.truth.describeSecurityGroups({GroupIds: [group]});
    const rules = (SecurityGroups?.[0]?.IpPermissions ?? []).flatMap(one =>
      (one.IpRanges ?? []).map(range => `${one.FromPort} ${range.CidrIp}`),
    );
    t.deepEqual(rules.sort(), ['22 198.51.100.7/32', '2376 198.51.100.7/32', '443 203.0.113.0/24']);
  },
);

declare(
  'groups that are named stay as they are, and outlive the machine',
  async (t, {lab, create, remove, uuid}) => {
    const {Vpcs} = await lab.truth.describeVpcs({Filters: [{Name: 'is-default', Values: ['true']}]});
    const {GroupId = ''} = await lab.truth.createSecurityGroup({
      GroupName: 'theirs',
      Description: 'x',
      VpcId: Vpcs?.[0]?.VpcId,
    });
    await create('m', {'amazonec2-security-group': ['theirs']});
    const id = await uuid('m');
    const run = lab.proxy.calls.findLast(call => call.action === 'RunInstances')?.parameters;
    t.is(run?.get('NetworkInterface.1.SecurityGroupId.1'), GroupId);
    t.is(run?.get('NetworkInterface.1.SecurityGroupId.2'), null);
    t.deepEqual(await lab.groupsNamed(ingressGroupName(id)), []);
    await remove('m');
    const {SecurityGroups} = await lab.truth.describeSecurityGroups({GroupIds: [GroupId]});
    t.deepEqual(SecurityGroups?.[0]?.IpPermissions, []);
    await lab.truth.deleteSecurityGroup({GroupId});
  },
);

declare(
  'the group of the fleet is one for all, and goes with the last',
  async (t, {lab, deps, create, remove}) => {
    await Promise.all([create('a'), create('b')]);
    const name = fleetGroupName(await deps.store.fleet(deps.signal));
    t.is((await lab.groupsNamed(name)).length, 1);
    await remove('a');
    t.is((await lab.groupsNamed(name)).length, 1);
    await remove('b');
    t.deepEqual(await lab.groupsNamed(name), []);
  },
);

declare(
  'the group of the fleet goes while another machine is half-made: it is made again',
  async (t, {lab, deps, create, uuid}) => {
    lab.proxy.fail({
      action: 'RunInstances',
      kind: 'refuse',
      code: 'InvalidGroup.NotFound',
      message: 'The security group does not exist',
    });
    await create('m');
    t.deepEqual(await lab.count(await uuid('m')), one);
    await create('other');
    t.is((await lab.groupsNamed(fleetGroupName(await deps.store.fleet(deps.signal)))).length, 1);
  },
);

declare(
  'without an image of ours in the region, create names the command that brings one',
  async (t, {lab, deps}) => {
    const {ami: _, ...settings} = await lab.settings();
    const error = await t.throwsAsync(
      createMachine(deps, {name: 'm', driver: 'amazonec2', settings, seconds: 5}, silentProgress),
      {code: 'check-failed'},
    );
    t.regex(error instanceof MachineError ? (error.remedy ?? '') : '', /hawser image publish --to aws/);
  },
);

declare(
  'a profile of the config file: its keys and its region; nothing of them is kept',
  async (t, {lab, deps}) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, 'config');
    await writeFile(
      file,
      [
        '[profile dev]',
        'region = us-east-1',
        `aws_access_key_id = ${accessKey}`,
        `aws_secret_access_key = ${secretKey}`,
        '[profile login]',
        'region = us-east-1',
        'sso_session = corp',
        'sso_account_id = 123456789012',
        'sso_role_name = admin',
        '[sso-session corp]',
        'sso_region = us-east-1',
        'sso_start_url = https://127.0.0.1:9/start',
      ].join('\n'),
    );
    // The SDK reads the process's own environment.
    const before = {...process.env};
    Object.assign(process.env, {AWS_CONFIG_FILE: file, AWS_SHARED_CREDENTIALS_FILE: file, HOME: folder});
    t.teardown(() => {
      process.env = before;
    });
    const plain = {...deps, runtime: {...deps.runtime, env: {}}};
    const flags = (profile: string) => {
      const values = new Map(flagValues(lab.proxy.url, lab.ami, {'amazonec2-profile': profile}));
      values.delete('amazonec2-region');
      return values;
    };
    const configure = (profile: string) =>
      configureEc2(flags(profile), {cwd: '/', env: {}, paths: deps.runtime.paths});
    const settings = await configure('dev');
    t.is(settings.connection.region, 'us-east-1');
    const wish = {name: 'm', driver: 'amazonec2', seconds: 5};
    await createMachine(plain, {...wish, settings}, silentProgress);
    const record = await readFile(join(deps.store.folder('m'), 'machine.json'), 'utf8');
    t.true(record.includes('"profile": "dev"'));
    t.false(record.includes(secretKey));
    await removeMachine(plain, 'm', false, quiet);

    const refused = await t.throwsAsync<MachineError>(
      createMachine(plain, {...wish, settings: await configure('login')}, silentProgress),
      {code: 'check-failed'},
    );
    t.regex(refused?.remedy ?? '', /aws sso login/);
    const nobody = await t.throwsAsync<MachineError>(
      createMachine(plain, {...wish, settings: await configure('nobody')}, silentProgress),
      {code: 'check-failed'},
    );
    t.regex(nobody?.remedy ?? '', /--amazonec2-profile/);
  },
);
