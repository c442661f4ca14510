/** The server of a machine: made, awaited, switched, removed. Found by its tag, whatever the ledger says. */
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {actOnServer, createServer, deleteServer, getServer, serversByTag} from './client/compute.ts';
import type {Server, ServerAction} from './client/compute.ts';
import {hasCode} from './client/errors.ts';
import type {Session} from './client/session.ts';
import {serverMetadata, serverTags, uuidTag} from './marks.ts';
import {readSettings} from './settings.ts';
import {isGone, machineState} from './state.ts';

/** Nova's limit for the base64 text. */
const LONGEST_USER_DATA = 65_535;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 4000;

/** Resolves when the server runs. One that an earlier attempt left in ERROR is replaced. */
export async function ensureServer(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
): Promise<Resources> {
  const {activeSeconds} = readSettings(machine.settings);
  const found = await serversOf(session, machine.uuid);
  const usable = found.find(server => server.status !== 'ERROR');
  const surplus = found.filter(server => server !== usable);
  for (const server of surplus) await removeServer(session, server.id, activeSeconds, host);
  const id = usable?.id ?? (await makeServer(session, machine, host));
  await host.note('server', {server: id});
  const server = await waitFor(session, id, activeSeconds, host, ({status}) => status !== 'BUILD');
  if (server.status === 'SHUTOFF') await switchOn(session, server, activeSeconds, host);
  return {server: id};
}

async function makeServer(session: Session, machine: DriverMachine, host: DriverHost): Promise<string> {
  const settings = readSettings(machine.settings);
  const {image, flavor, port} = machine.resources;
  const {text} = await host.firstBoot([]);
  const userData = Buffer.from(text).toString('base64');
  if (userData.length > LONGEST_USER_DATA) {
    throw new MachineError(
      'bad-setting',
      `the first-boot configuration has ${Buffer.byteLength(text)} bytes, OpenStack takes ${Math.floor((LONGEST_USER_DATA / 4) * 3)}`,
      {remedy: 'put what is large behind a URL (ignition.config.merge, contents.source)'},
    );
  }
  const {volume} = settings;
  return createServer(session, {
    name: machine.name,
    flavor: String(flavor),
    ...(volume === undefined ? {image: String(image)} : {volume: {...volume, image: String(image)}}),
    portId: String(port),
    userData,
    configDrive: settings.configDrive,
    metadata: {...settings.metadata, ...serverMetadata(machine, host.fleet, host.operator)},
    tags: serverTags(machine.uuid, host.fleet),
    ...(settings.availabilityZone === undefined ? {} : {availabilityZone: settings.availabilityZone}),
    ...(settings.serverGroup === undefined ? {} : {serverGroup: settings.serverGroup}),
  });
}

/** Those of the machine that are not gone. */
export async function serversOf(session: Session, uuid: string): Promise<readonly Server[]> {
  return (await serversByTag(session, uuidTag(uuid))).filter(server => !isGone(server.status));
}

async function theServer(session: Session, machine: DriverMachine): Promise<Server> {
  const [server] = await serversOf(session, machine.uuid);
  if (server !== undefined) return server;
  throw new MachineError('driver-failed', `the server of "${machine.name}" exists no more`, {
    remedy: `hawser machine rm ${machine.name}, then create it anew`,
  });
}

export async function startServer(session: Session, machine: DriverMachine, host: DriverHost): Promise<void> {
  const {activeSeconds} = readSettings(machine.settings);
  await switchOn(session, await theServer(session, machine), activeSeconds, host);
}

const wakeUps: Readonly<Record<string, ServerAction>> = {
  SHUTOFF: 'os-start',
  PAUSED: 'unpause',
  SUSPENDED: 'resume',
  SHELVED: 'unshelve',
  SHELVED_OFFLOADED: 'unshelve',
};

async function switchOn(session: Session, server: Server, seconds: number, host: DriverHost): Promise<void> {
  const settled = await waitFor(session, server.id, seconds, host, isSettled);
  const action = wakeUps[settled.status];
  if (action !== undefined) await act(session, settled.id, action);
  await waitFor(session, server.id, seconds, host, ({status}) => status === 'ACTIVE');
}

/**
 * Nova shuts the guest down by itself and cuts the power after its own time; no call tells it how long. There is no
 * harder way for a member, so `kill` is this too.
 */
export async function stopServer(session: Session, machine: DriverMachine, host: DriverHost): Promise<void> {
  const {activeSeconds} = readSettings(machine.settings);
  const server = await theServer(session, machine);
  const {id, status} = await waitFor(session, server.id, activeSeconds, host, isSettled);
  if (status === 'SHUTOFF') return;
  if (status === 'PAUSED' || status === 'SUSPENDED') {
    await act(session, id, status === 'PAUSED' ? 'unpause' : 'resume');
    await waitFor(session, id, activeSeconds, host, server => server.status === 'ACTIVE');
  }
  await act(session, id, 'os-stop');
  await waitFor(session, id, activeSeconds, host, server => server.status === 'SHUTOFF');
}

/** It may be on its way already (409): the wait that follows tells. */
async function act(session: Session, id: string, action: ServerAction): Promise<void> {
  try {
    await actOnServer(session, id, action);
  } catch (error) {
    if (!hasCode(error, 'conflict')) throw error;
  }
}

/** Every server of the machine, until Nova knows none. */
export async function removeServers(
  session: Session,
  machine: DriverMachine,
  host: DriverHost,
): Promise<void> {
  const {activeSeconds} = readSettings(machine.settings);
  for (const server of await serversOf(session, machine.uuid))
    await removeServer(session, server.id, activeSeconds, host);
}

async function removeServer(session: Session, id: string, seconds: number, host: DriverHost): Promise<void> {
  try {
    await deleteServer(session, id);
    await waitFor(session, id, seconds, host, ({status}) => isGone(status), false);
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
  }
}

function isSettled(server: Server): boolean {
  return server.status !== 'BUILD' && (server['OS-EXT-STS:task_state'] ?? null) === null;
}

/** Polls until `reached`. A server in ERROR ends it, with the fault's text, unless `refuseError` is false. */
async function waitFor(
  session: Session,
  id: string,
  seconds: number,
  host: DriverHost,
  reached: (server: Server) => boolean,
  refuseError = true,
): Promise<Server> {
  const end = host.clock.now().getTime() + seconds * 1000;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    const server = await getServer(session, id);
    if (refuseError && server.status === 'ERROR') throw faultOf(server);
    if (reached(server)) return server;
    const task = server['OS-EXT-STS:task_state'];
    host.report(
      `${machineState(server.status, task)}${task === null || task === undefined ? '' : ` (${task})`}`,
    );
    if (host.clock.now().getTime() + pause > end) {
      throw new MachineError('driver-failed', `the server is still ${server.status} after ${seconds} s`, {
        remedy: 'look at it in the cloud, or give it longer with --openstack-active-timeout',
      });
    }
    await host.clock.sleep(pause, host.signal);
  }
}

function faultOf(server: Server): MachineError {
  const why = (server.fault?.message ?? 'the cloud does not say why').replaceAll(/\s+/g, ' ').slice(0, 300);
  return new MachineError('driver-failed', `the cloud could not run the server: ${why}`, {
    remedy: /No valid host/.test(why)
      ? 'choose another flavor or availability zone: no host has room for this one'
      : "ask the cloud's operator, and name the server's id",
    context: {server: server.id},
  });
}
