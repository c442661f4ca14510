/** Security groups: one that lets the operator in, one by which the machines of a store reach each other. */
import type {IpPermission, SecurityGroup} from '@aws-sdk/client-ec2';
import {checkFailed} from '../../errors.ts';
import {awsCode, isNotFound} from './aws-errors.ts';
import type {Ec2} from './client.ts';
import type {Tag} from './names.ts';
import type {OpenPort} from './values.ts';
import {until, type Waiting} from './wait.ts';

const DOCKER_PORT = 2376;
/** Rules with this description are ours to remove; others that an operator added stay. */
const OURS = 'hawser: from the operator';
/** How long a group that was just made may be unknown to the next call. */
const VISIBLE_WITHIN_MS = 60_000;
/** How long a machine's network card may hold its group after the machine is gone. */
const RELEASED_WITHIN_MS = 180_000;

export interface GroupWish {
  readonly name: string;
  readonly description: string;
  readonly vpc: string;
  readonly tags: readonly Tag[];
}

/** The id of the group of that name in the VPC, made when it is missing. */
export async function ensureGroup(ec2: Ec2, wish: GroupWish): Promise<string> {
  const found = await findGroup(ec2, wish.vpc, wish.name);
  if (found?.GroupId !== undefined) return found.GroupId;
  try {
    const {GroupId} = await ec2('make the security group', (api, options) =>
      api.createSecurityGroup(
        {
          GroupName: wish.name,
          Description: wish.description,
          VpcId: wish.vpc,
          TagSpecifications: [{ResourceType: 'security-group', Tags: [...wish.tags]}],
        },
        options,
      ),
    );
    return GroupId ?? '';
  } catch (error) {
    // An earlier call was carried out and its answer lost.
    if (awsCode(error) !== 'InvalidGroup.Duplicate') throw error;
    const made = await findGroup(ec2, wish.vpc, wish.name);
    if (made?.GroupId === undefined) throw error;
    return made.GroupId;
  }
}

/** Makes the rules of the operator's group those wanted; rules that somebody added otherwise stay. */
export async function ensureIngress(
  ec2: Ec2,
  group: string,
  wish: {
    readonly networks: readonly string[];
    readonly sshPort: number;
    readonly openPorts: readonly OpenPort[];
  },
  waiting: Waiting,
): Promise<void> {
  const ports: readonly OpenPort[] = [
    {port: wish.sshPort, protocol: 'tcp'},
    {port: DOCKER_PORT, protocol: 'tcp'},
    ...wish.openPorts,
  ];
  const wanted = new Map(
    ports.flatMap(port => wish.networks.map(network => [ruleKey(port, network), permission(port, network)])),
  );
  const present = ourRules(await describeGroup(ec2, group, waiting));
  const missing = [...wanted].filter(([key]) => !present.has(key)).map(([, rule]) => rule);
  const stale = [...present].filter(([key]) => !wanted.has(key)).map(([, rule]) => rule);
  const authorize = (rules: IpPermission[]) =>
    ec2('open the ports of the security group', (api, options) =>
      api.authorizeSecurityGroupIngress({GroupId: group, IpPermissions: rules}, options),
    );
  if (missing.length > 0) {
    // One rule that is there already fails all: then each by itself.
    await authorize(missing).catch(async (error: unknown) => {
      if (awsCode(error) !== 'InvalidPermission.Duplicate') throw error;
      for (const rule of missing) await tolerate('InvalidPermission.Duplicate', () => authorize([rule]));
    });
  }
  for (const rule of stale) {
    await tolerate('InvalidPermission.NotFound', () =>
      ec2('close ports of the security group', (api, options) =>
        api.revokeSecurityGroupIngress({GroupId: group, IpPermissions: [rule]}, options),
      ),
    );
  }
}

/** Members of the group reach each other on all ports. */
export async function ensureInside(ec2: Ec2, group: string, waiting: Waiting): Promise<void> {
  const {IpPermissions} = await describeGroup(ec2, group, waiting);
  if ((IpPermissions ?? []).some(rule => rule.UserIdGroupPairs?.some(pair => pair.GroupId === group))) return;
  const rule: IpPermission = {IpProtocol: '-1', UserIdGroupPairs: [{GroupId: group}]};
  await tolerate('InvalidPermission.Duplicate', () =>
    ec2('let the machines reach each other', (api, options) =>
      api.authorizeSecurityGroupIngress({GroupId: group, IpPermissions: [rule]}, options),
    ),
  );
}

/** Ids of existing groups, by name or id. Throws by `checkFailed` when one is missing in the VPC. */
export async function namedGroups(ec2: Ec2, vpc: string, named: readonly string[]): Promise<string[]> {
  const {SecurityGroups} = await ec2('find the security groups', (api, options) =>
    api.describeSecurityGroups({Filters: [{Name: 'vpc-id', Values: [vpc]}]}, options),
  );
  return named.map(name => {
    const found = (SecurityGroups ?? []).find(group => group.GroupId === name || group.GroupName === name);
    if (found?.GroupId !== undefined) return found.GroupId;
    throw checkFailed(
      `there is no security group ${name} in ${vpc}`,
      'check --amazonec2-security-group, or leave it out: the machine then has a group of its own',
    );
  });
}

/** Succeeds when there is none. Waits for what still uses it; false when that does not end. */
export async function deleteGroup(ec2: Ec2, group: string, waiting: Waiting): Promise<boolean> {
  return until(waiting, RELEASED_WITHIN_MS, () => tryDeleteGroup(ec2, group));
}

/** False while something uses it. */
export async function tryDeleteGroup(ec2: Ec2, group: string): Promise<boolean> {
  try {
    await ec2('delete the security group', (api, options) =>
      api.deleteSecurityGroup({GroupId: group}, options),
    );
    return true;
  } catch (error) {
    if (isNotFound(error)) return true;
    if (awsCode(error) === 'DependencyViolation' || awsCode(error) === 'InvalidGroup.InUse') return false;
    throw error;
  }
}

async function findGroup(ec2: Ec2, vpc: string, name: string): Promise<SecurityGroup | undefined> {
  const {SecurityGroups} = await ec2('find the security group', (api, options) =>
    api.describeSecurityGroups(
      {
        Filters: [
          {Name: 'vpc-id', Values: [vpc]},
          {Name: 'group-name', Values: [name]},
        ],
      },
      options,
    ),
  );
  return SecurityGroups?.[0];
}

/** A group that exists, though the region may not know it everywhere yet. */
async function describeGroup(ec2: Ec2, group: string, waiting: Waiting): Promise<SecurityGroup> {
  let found: SecurityGroup | undefined;
  await until(waiting, VISIBLE_WITHIN_MS, async () => {
    try {
      const {SecurityGroups} = await ec2('look at the security group', (api, options) =>
        api.describeSecurityGroups({GroupIds: [group]}, options),
      );
      found = SecurityGroups?.[0];
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return found !== undefined;
  });
  return found ?? {};
}

function permission({port, protocol}: OpenPort, network: string): IpPermission {
  const range = {Description: OURS};
  return {
    IpProtocol: protocol,
    FromPort: port,
    ToPort: port,
    ...(network.includes(':')
      ? {Ipv6Ranges: [{...range, CidrIpv6: network}]}
      : {IpRanges: [{...range, CidrIp: network}]}),
  };
}

function ruleKey({port, protocol}: OpenPort, network: string): string {
  return `${protocol} ${port} ${network}`;
}

/** Rules that we made, one for each port and network. */
function ourRules({IpPermissions}: SecurityGroup): Map<string, IpPermission> {
  const rules = new Map<string, IpPermission>();
  for (const {IpProtocol, FromPort, IpRanges, Ipv6Ranges} of IpPermissions ?? []) {
    if (FromPort === undefined || (IpProtocol !== 'tcp' && IpProtocol !== 'udp')) continue;
    const port: OpenPort = {port: FromPort, protocol: IpProtocol};
    const networks = [
      ...(IpRanges ?? []).map(range => ({network: range.CidrIp, note: range.Description})),
      ...(Ipv6Ranges ?? []).map(range => ({network: range.CidrIpv6, note: range.Description})),
    ];
    for (const {network, note} of networks) {
      if (network !== undefined && note === OURS)
        rules.set(ruleKey(port, network), permission(port, network));
    }
  }
  return rules;
}

async function tolerate(code: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (awsCode(error) !== code) throw error;
  }
}
