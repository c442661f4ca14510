/** The openstack driver: a machine is a server of Nova with a port of its own, found again by its UUID. */
import type {Driver, DriverHost, DriverMachine, Endpoint, Resources, Step} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {machineUser} from '../../ports.ts';
import type {Session} from './client/session.ts';
import {checkBefore} from './check.ts';
import {inProjectOf, withSession} from './connect.ts';
import {openstackFlags} from './flags.ts';
import {lookUp} from './lookup.ts';
import {findTagged, observeServers} from './observe.ts';
import {openstackPublisher} from './publish.ts';
import {ensureServer, removeServers, startServer, stopServer} from './server.ts';
import {configureOpenStack, readSettings} from './settings.ts';
import type {OpenStackSettings} from './settings.ts';
import {ensureFloatingAddress, ensureGroup, ensurePort, releaseAddresses, removeWires} from './wires.ts';

const DOCKER_PORT = 2376;
/** Machines made or removed at once: what a small cloud's API and its database take without queueing. */
const PARALLEL = 10;

const steps = [
  {name: 'lookup', title: 'Looking up image, flavor and network'},
  {name: 'security-group', title: 'Making the security group'},
  {name: 'port', title: 'Making the port'},
  {name: 'server', title: 'Making the server', volatile: true},
  {name: 'floating-address', title: 'Giving it a floating address'},
] as const satisfies readonly Step[];

type StepName = (typeof steps)[number]['name'];

type Ensure = (session: Session, machine: DriverMachine, host: DriverHost) => Promise<Resources>;

const executors: Readonly<Record<StepName, Ensure>> = {
  lookup: async (session, machine, host) => {
    const {image, flavor, network, pool} = await lookUp(session, readSettings(machine.settings), host.paths);
    return {
      project: session.projectId,
      region: session.region,
      image: image.id,
      flavor: flavor.id,
      network: network.id,
      ...(pool === undefined ? {} : {pool: pool.id}),
    };
  },
  'security-group': (session, machine, host) => ensureGroup(session, machine, host),
  port: ensurePort,
  server: ensureServer,
  'floating-address': ensureFloatingAddress,
};

export const openstackDriver: Driver = {
  name: 'openstack',
  summary: 'servers of an OpenStack cloud',
  flags: openstackFlags,
  parallel: PARALLEL,
  sizeFlag: 'openstack-flavor-name',
  configure: configureOpenStack,
  preCreateCheck: (given, context) => checkBefore(readSettings(given), context),
  login: given => readSettings(given).sshUser ?? machineUser,
  plan: given => {
    const settings = readSettings(given);
    return steps.filter(
      ({name}) =>
        (name !== 'security-group' || settings.groups === undefined) &&
        (name !== 'floating-address' || wantsFloating(settings)),
    );
  },
  ensure: (step, machine, host) => {
    const known = steps.find(candidate => candidate.name === step);
    if (known === undefined) throw new MachineError('driver-failed', `openstack has no step "${step}"`);
    return inProjectOf(machine, host, session => executors[known.name](session, machine, host));
  },
  place: given => JSON.stringify(readSettings(given).access),
  observe: async (machines, context) => {
    const [first] = machines;
    if (first === undefined) return new Map();
    const {access} = readSettings(first.settings);
    return withSession(access, context, session => observeServers(session, machines, context.fleet));
  },
  start: async (machine, host) => {
    await inProjectOf(machine, host, session => startServer(session, machine, host));
    return {};
  },
  stop: (machine, host) => inProjectOf(machine, host, session => stopServer(session, machine, host)),
  kill: (machine, host) => inProjectOf(machine, host, session => stopServer(session, machine, host)),
  destroy: (machine, host) =>
    inProjectOf(machine, host, async session => {
      await releaseAddresses(session, machine.uuid);
      await removeServers(session, machine, host);
      await removeWires(session, machine.uuid, host.fleet);
    }),
  endpoint: endpointOf,
  list: (given, context) => {
    const {access, ipVersion} = readSettings(given);
    return withSession(access, context, session => findTagged(session, context.fleet, ipVersion));
  },
  publisher: openstackPublisher,
};

function wantsFloating({floatingPool, floatingAddress}: OpenStackSettings): boolean {
  return floatingPool !== undefined || floatingAddress !== undefined;
}

function endpointOf({settings: given, resources}: DriverMachine): Endpoint | undefined {
  const settings = readSettings(given);
  const {fixedAddress, floatingAddress} = resources;
  const host = wantsFloating(settings) ? floatingAddress : fixedAddress;
  if (typeof host !== 'string' || typeof fixedAddress !== 'string') return undefined;
  return {
    ssh: settings.sshAddress ?? {host, port: settings.sshPort},
    docker: settings.dockerAddress ?? {host, port: DOCKER_PORT},
    privateAddress: fixedAddress,
  };
}
