/** How machines are, and which there are: one question a project and region. */
import type {DriverMachine, Found, Observation, Resources} from '../../driver.ts';
import {serversByTag} from './client/compute.ts';
import type {Server} from './client/compute.ts';
import {listFloatingAddresses, listPorts} from './client/network.ts';
import type {Session} from './client/session.ts';
import {whyElsewhere} from './connect.ts';
import {fleetTag, readMark, uuidTag} from './marks.ts';
import {readSettings} from './settings.ts';
import {isGone, machineState} from './state.ts';

/** By UUID; without those that Nova does not have. */
export async function observeServers(
  session: Session,
  machines: readonly DriverMachine[],
  fleet: string,
): Promise<ReadonlyMap<string, Observation>> {
  const [only, ...others] = machines;
  if (only === undefined) return new Map();
  const servers = await serversByTag(session, others.length === 0 ? uuidTag(only.uuid) : fleetTag(fleet));
  const seen = new Map<string, Observation>();
  for (const machine of machines) {
    const elsewhere = whyElsewhere(machine, session);
    if (elsewhere !== undefined) seen.set(machine.uuid, {state: 'Error', detail: `it is in ${elsewhere}`});
    if (elsewhere !== undefined) continue;
    const server = servers.find(
      ({metadata, status}) => metadata['hawser:uuid'] === machine.uuid && !isGone(status),
    );
    if (server !== undefined) seen.set(machine.uuid, observation(server, machine));
  }
  return seen;
}

function observation(server: Server, machine: DriverMachine): Observation {
  const {ipVersion} = readSettings(machine.settings);
  const detail = server.status === 'ERROR' ? server.fault?.message : undefined;
  return {
    state: machineState(server.status, server['OS-EXT-STS:task_state']),
    resources: addressesOf(server, ipVersion),
    ...(detail === undefined ? {} : {detail}),
  };
}

function addressesOf(server: Server, ipVersion: number): Resources {
  const all = Object.values(server.addresses).flat();
  const find = (kind: string) =>
    all.find(address => address['OS-EXT-IPS:type'] === kind && address.version === ipVersion)?.addr;
  const [fixed, floating] = [find('fixed'), find('floating')];
  return {
    ...(fixed === undefined ? {} : {fixedAddress: fixed}),
    ...(floating === undefined ? {} : {floatingAddress: floating}),
  };
}

/** What this store's tags are on: servers, and ports and floating addresses that have lost theirs. */
export async function findTagged(
  session: Session,
  fleet: string,
  ipVersion: number,
): Promise<readonly Found[]> {
  const [servers, ports, addresses] = await Promise.all([
    serversByTag(session, fleetTag(fleet)),
    listPorts(session, {}),
    listFloatingAddresses(session, {}),
  ]);
  const things: Thing[] = [
    ...servers.filter(({status}) => !isGone(status)).flatMap(server => ofServer(server, ipVersion)),
    ...ports.flatMap(port => ofMark(port, `port ${port.id}`, {port: port.id})),
    ...addresses.flatMap(address => ofMark(address, `floating address ${address.floating_ip_address}`)),
  ].filter(thing => thing.fleet === fleet);
  const found = new Map<string, Found>();
  for (const {fleet: _, ...thing} of things) {
    const known = found.get(thing.uuid);
    const what = known === undefined ? thing.what : `${known.what}, ${thing.what}`;
    const resources = {...thing.resources, ...known?.resources};
    found.set(thing.uuid, {...(known ?? thing), what, resources});
  }
  const place = {project: session.projectId, region: session.region};
  return [...found.values()].map(one => ({...one, resources: {...one.resources, ...place}}));
}

type Thing = Found & {readonly fleet: string};

function ofServer(server: Server, ipVersion: number): Thing[] {
  const {id, name, created, metadata} = server;
  const uuid = metadata['hawser:uuid'];
  if (uuid === undefined) return [];
  return [
    {
      uuid,
      name: metadata['hawser:machine'] ?? name,
      generation: Number(metadata['hawser:generation'] ?? 1),
      fleet: metadata['hawser:fleet'] ?? '',
      created,
      what: `server ${id}`,
      resources: {server: id, ...addressesOf(server, ipVersion)},
    },
  ];
}

function ofMark(
  thing: {readonly description?: string; readonly created_at?: string},
  what: string,
  resources: Resources = {},
): Thing[] {
  const mark = readMark(thing.description);
  return mark === undefined ? [] : [{...mark, created: thing.created_at ?? '', what, resources}];
}
