/** The network side of a machine: our group, its port, its floating address. Each is looked for before it is made. */
import {isIP} from 'node:net';
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {allowedNetworks} from './check.ts';
import {hasCode, refusalKind} from './client/errors.ts';
import {
  createFloatingAddress,
  createGroup,
  createPort,
  deleteOfNetwork,
  ensureRule,
  joinFloatingAddress,
  listFloatingAddresses,
  listGroups,
  listPorts,
} from './client/network.ts';
import type {FloatingAddress, GroupRule, NetworkKind, Port} from './client/network.ts';
import type {Session} from './client/session.ts';
import {describeMark, groupName, portName, readMark} from './marks.ts';
import {readSettings} from './settings.ts';
import type {OpenStackSettings} from './settings.ts';

const DOCKER_PORT = 2376;
/** Times that the group may vanish between being found and being used: another machine's rm removed it. */
const ATTEMPTS = 3;

/** The group of the fleet, with its rules. Machines made at the same time make one, under the store's lock. */
export async function ensureGroup(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
  trustOthers = true,
): Promise<Resources> {
  const settings = readSettings(machine.settings);
  const allowed = allowedNetworks(settings, session);
  for (let attempt = 1; ; attempt++) {
    const id = await findOrMakeGroup(session, host, trustOthers && attempt === 1);
    try {
      for (const rule of rulesOf(id, allowed, settings.sshPort)) await ensureRule(session, id, rule);
      return {securityGroup: id};
    } catch (error) {
      if (!hasCode(error, 'not-found') || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Asked of the cloud only where no other machine of the store knows it: the lock is waited for for a minute, and twenty
 * machines that are made at once on a slow cloud would not all get their turn.
 */
async function findOrMakeGroup(session: Session, host: DriverHost, trustOthers: boolean): Promise<string> {
  const name = groupName(host.fleet);
  const {securityGroup} = await host.reserve('security-group', async others => {
    const known = trustOthers ? groupOfOthers(session, others) : undefined;
    if (known !== undefined) return {securityGroup: known};
    const [found] = [...(await listGroups(session, {name}))].sort(byId);
    const group = found ?? (await createGroup(session, {name, description: `hawser fleet=${host.fleet}`}));
    return {securityGroup: group.id};
  });
  if (typeof securityGroup === 'string') return securityGroup;
  throw new MachineError('driver-failed', 'the security group has no id');
}

/** It may be gone by now: what uses it is then refused, and the cloud is asked. */
function groupOfOthers({projectId, region}: Session, others: readonly Resources[]): string | undefined {
  const near = others.filter(other => other['project'] === projectId && other['region'] === region);
  const known = near.map(other => other['securityGroup']).find(group => typeof group === 'string');
  return typeof known === 'string' ? known : undefined;
}

/** SSH and Docker from those who may; everything among the members. */
function rulesOf(groupId: string, allowed: readonly string[], sshPort: number): GroupRule[] {
  const ports = [...new Set([sshPort, DOCKER_PORT])];
  return [
    ...allowed.flatMap(remote => {
      const ethertype = remote.includes(':') ? ('IPv6' as const) : ('IPv4' as const);
      return ports.map(port => ({ethertype, protocol: 'tcp' as const, port, remote_ip_prefix: remote}));
    }),
    {ethertype: 'IPv4', remote_group_id: groupId},
    {ethertype: 'IPv6', remote_group_id: groupId},
  ];
}

/** The port, made before the server: a server that is made twice cannot have it twice. */
export async function ensurePort(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
): Promise<Resources> {
  const settings = readSettings(machine.settings);
  const found = await portOf(session, machine.uuid);
  const port = found ?? (await makePort(session, machine, host, settings));
  const address = port.fixed_ips.find(ip => isIP(ip.ip_address) === settings.ipVersion);
  if (address === undefined) {
    throw new MachineError(
      'driver-failed',
      `the network gave the machine no IPv${settings.ipVersion} address`,
      {
        remedy: 'choose another network, or the other --openstack-ip-version',
      },
    );
  }
  return {port: port.id, fixedAddress: address.ip_address};
}

/** The port in use, else the oldest name: an answer that was lost may have left two. */
async function portOf(session: Session, uuid: string): Promise<Port | undefined> {
  const ports = [...(await listPorts(session, {name: portName(uuid)}))].sort(
    (a, b) => Number(a.device_id === '') - Number(b.device_id === '') || byId(a, b),
  );
  const [first, ...surplus] = ports;
  for (const port of surplus) await remove(session, 'ports', port.id);
  return first;
}

async function makePort(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
  {groups}: OpenStackSettings,
): Promise<Port> {
  const networkId = String(machine.resources['network']);
  let own = machine.resources['securityGroup'];
  for (let attempt = 1; ; attempt++) {
    const securityGroups = groups === undefined ? [String(own)] : await groupIds(session, groups);
    try {
      return await createPort(session, {
        name: portName(machine.uuid),
        description: describeMark(machine, host.fleet),
        network_id: networkId,
        security_groups: securityGroups,
      });
    } catch (error) {
      const vanished = hasCode(error, 'not-found') && /SecurityGroup/i.test(refusalKind(error));
      if (!vanished || groups !== undefined || attempt === ATTEMPTS) throw error;
      own = (await ensureGroup(session, machine, host, false))['securityGroup'];
    }
  }
}

async function groupIds(session: Session, wanted: readonly string[]): Promise<string[]> {
  const groups = await listGroups(session, {});
  return wanted.map(name => {
    const found = groups.filter(group => group.id === name || group.name === name);
    const [first] = found;
    if (first !== undefined && found.length === 1) return first.id;
    throw new MachineError(
      'bad-setting',
      first === undefined
        ? `there is no security group "${name}"`
        : `there are ${found.length} of the security group "${name}"`,
      {remedy: 'give its id with --openstack-sec-groups, or leave it out for a group of our own'},
    );
  });
}

/** A new address of the pool, joined in the call that makes it: nobody else can be given it in between. */
export async function ensureFloatingAddress(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
): Promise<Resources> {
  const {port, pool} = machine.resources;
  const {floatingAddress} = readSettings(machine.settings);
  if (typeof port !== 'string') throw new MachineError('driver-failed', 'the machine has no port yet');
  if (floatingAddress !== undefined) return joinGiven(session, floatingAddress, port);
  const [found, ...surplus] = await addressesOf(session, machine.uuid);
  for (const extra of surplus) await remove(session, 'floatingips', extra.id);
  if (found === undefined) {
    const made = await createFloatingAddress(session, {
      floating_network_id: String(pool),
      port_id: port,
      description: describeMark(machine, host.fleet),
    });
    return {floatingAddress: made.floating_ip_address};
  }
  if (found.port_id !== port) await joinFloatingAddress(session, found.id, port);
  return {floatingAddress: found.floating_ip_address};
}

async function joinGiven(session: Session, address: string, port: string): Promise<Resources> {
  const [found] = await listFloatingAddresses(session, {floating_ip_address: address});
  if (found === undefined) {
    throw new MachineError('bad-setting', `the project has no floating address ${address}`, {
      remedy: 'openstack floating ip list shows those it has',
    });
  }
  if (found.port_id !== null && found.port_id !== port) {
    throw new MachineError('bad-setting', `the floating address ${address} is in use`, {
      remedy: 'give another with --openstack-floating-ip, or take it off its port',
    });
  }
  if (found.port_id === null) await joinFloatingAddress(session, found.id, port);
  return {floatingAddress: address};
}

/** Addresses that were made for the machine: one that the project had before bears no mark. */
async function addressesOf(session: Session, uuid: string): Promise<readonly FloatingAddress[]> {
  const all = await listFloatingAddresses(session, {});
  return all.filter(address => readMark(address.description)?.uuid === uuid).sort(byId);
}

/** Before the server goes: an address that is still joined to a port would be lost with it. */
export async function releaseAddresses(session: Session, uuid: string): Promise<void> {
  for (const address of await addressesOf(session, uuid)) await remove(session, 'floatingips', address.id);
}

/** After the server is gone. The group stays as long as another machine of the fleet is in it. */
export async function removeWires(session: Session, uuid: string, fleet: string): Promise<void> {
  for (const port of await listPorts(session, {name: portName(uuid)}))
    await remove(session, 'ports', port.id);
  for (const group of await listGroups(session, {name: groupName(fleet)})) {
    try {
      await remove(session, 'security-groups', group.id);
    } catch (error) {
      if (refusalKind(error) !== 'SecurityGroupInUse') throw error;
    }
  }
}

async function remove(session: Session, kind: NetworkKind, id: string): Promise<void> {
  try {
    await deleteOfNetwork(session, kind, id);
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
  }
}

function byId(a: {readonly id: string}, b: {readonly id: string}): number {
  return a.id.localeCompare(b.id);
}
