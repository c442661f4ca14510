/** Neutron: networks, ports, security groups, floating addresses. */
import {Type, type Static, type TSchema} from 'typebox';
import {hasCode, refusalKind} from './errors.ts';
import {listAll} from './pages.ts';
import type {Session} from './session.ts';

const Network = Type.Object({
  id: Type.String(),
  name: Type.String(),
  'router:external': Type.Optional(Type.Boolean()),
});
export type Network = Static<typeof Network>;

const Port = Type.Object({
  id: Type.String(),
  name: Type.String(),
  description: Type.Optional(Type.String()),
  /** ISO 8601. */
  created_at: Type.Optional(Type.String()),
  /** The server that it is plugged into, or empty. */
  device_id: Type.String(),
  /** What plugged it in, for instance `compute:nova`. */
  device_owner: Type.Optional(Type.String()),
  mac_address: Type.String(),
  fixed_ips: Type.Array(Type.Object({ip_address: Type.String()})),
});
export type Port = Static<typeof Port>;

const Group = Type.Object({id: Type.String(), name: Type.String()});
export type Group = Static<typeof Group>;

const FloatingAddress = Type.Object({
  id: Type.String(),
  floating_ip_address: Type.String(),
  port_id: Type.Union([Type.String(), Type.Null()]),
  description: Type.Optional(Type.String()),
  /** ISO 8601. */
  created_at: Type.Optional(Type.String()),
});
export type FloatingAddress = Static<typeof FloatingAddress>;

type Query = Readonly<Record<string, string>>;

function list<Schema extends TSchema>(session: Session, key: string, item: Schema, query: Query) {
  const path = `/${key.replaceAll('_', '-')}`;
  // Neutron writes floating IPs and nothing else without a dash.
  return listAll(session, {
    service: 'network',
    path: path.replace('floating-ips', 'floatingips'),
    key,
    item,
    query,
  });
}

export function listNetworks(session: Session, query: Query): Promise<readonly Network[]> {
  return list(session, 'networks', Network, query);
}

/** Of this project only, also for an administrator, whom Neutron shows everyone's. */
export function listPorts(session: Session, query: Query): Promise<readonly Port[]> {
  return list(session, 'ports', Port, {project_id: session.projectId, ...query});
}

export function listGroups(session: Session, query: Query): Promise<readonly Group[]> {
  return list(session, 'security_groups', Group, {project_id: session.projectId, ...query});
}

export function listFloatingAddresses(session: Session, query: Query): Promise<readonly FloatingAddress[]> {
  return list(session, 'floatingips', FloatingAddress, {project_id: session.projectId, ...query});
}

export async function createPort(
  session: Session,
  port: {
    readonly name: string;
    readonly description: string;
    readonly network_id: string;
    readonly security_groups: readonly string[];
  },
): Promise<Port> {
  const Answer = Type.Object({port: Port});
  return (await session.ask('network', {method: 'POST', path: '/ports', json: {port}}, Answer)).port;
}

export async function createGroup(
  session: Session,
  group: {readonly name: string; readonly description: string},
): Promise<Group> {
  const Answer = Type.Object({security_group: Group});
  const json = {security_group: group};
  return (await session.ask('network', {method: 'POST', path: '/security-groups', json}, Answer))
    .security_group;
}

export interface GroupRule {
  readonly ethertype: 'IPv4' | 'IPv6';
  readonly protocol?: 'tcp';
  readonly port?: number;
  /** Who may come in: a network, or the members of a group. */
  readonly remote_ip_prefix?: string;
  readonly remote_group_id?: string;
}

/** A rule that is there already is fine. */
export async function ensureRule(session: Session, groupId: string, rule: GroupRule): Promise<void> {
  const {port, ...rest} = rule;
  const security_group_rule = {
    security_group_id: groupId,
    direction: 'ingress',
    ...rest,
    ...(port === undefined ? {} : {port_range_min: port, port_range_max: port}),
  };
  try {
    const path = '/security-group-rules';
    await session.tell('network', {method: 'POST', path, json: {security_group_rule}});
  } catch (error) {
    if (refusalKind(error) !== 'SecurityGroupRuleExists') throw error;
  }
}

export async function createFloatingAddress(
  session: Session,
  address: {
    readonly floating_network_id: string;
    readonly port_id: string;
    readonly description: string;
  },
): Promise<FloatingAddress> {
  const Answer = Type.Object({floatingip: FloatingAddress});
  const call = {method: 'POST', path: '/floatingips', json: {floatingip: address}} as const;
  return (await session.ask('network', call, Answer)).floatingip;
}

/** Joins an address to a port, or (`undefined`) takes it off. */
export async function joinFloatingAddress(
  session: Session,
  id: string,
  portId: string | undefined,
): Promise<void> {
  const json = {floatingip: {port_id: portId ?? null}};
  await session.tell('network', {method: 'PUT', path: `/floatingips/${id}`, json});
}

export type NetworkKind = 'ports' | 'security-groups' | 'floatingips';

export async function deleteOfNetwork(session: Session, kind: NetworkKind, id: string): Promise<void> {
  await session.tell('network', {method: 'DELETE', path: `/${kind}/${id}`});
}

const Quota = Type.Object({
  limit: Type.Integer(),
  used: Type.Integer(),
  reserved: Type.Optional(Type.Integer()),
});

/** What the project may have and has of one resource; undefined where the cloud does not tell. -1 is no limit. */
export async function networkQuota(
  session: Session,
  resource: 'floatingip' | 'port' | 'security_group',
): Promise<{readonly limit: number; readonly used: number} | undefined> {
  const Answer = Type.Object({quota: Type.Object({[resource]: Quota})});
  const path = `/quotas/${session.projectId}/details`;
  try {
    return (await session.ask('network', {method: 'GET', path}, Answer)).quota[resource];
  } catch (error) {
    // An extension: where it is missing or not for members, the quota shows when it is used up.
    if (hasCode(error, 'not-found', 'forbidden')) return undefined;
    throw error;
  }
}
