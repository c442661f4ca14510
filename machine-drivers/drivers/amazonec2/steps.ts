/** The steps by which an instance comes into being, each true however often it is made. */
import type {RunInstancesCommandInput} from '@aws-sdk/client-ec2';
import type {DriverHost, DriverMachine, Resources, Step} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {awsCode} from './aws-errors.ts';
import {allowedNetworks} from './caller.ts';
import {openEc2, type Ec2} from './client.ts';
import {ensureGroup, ensureIngress, ensureInside, namedGroups} from './groups.ts';
import {addressesOf, awaitState, instanceById, instancesByTag, isUsable, stateName} from './instances.ts';
import {launchRequest} from './launch.ts';
import {clientToken, fleetGroupName, ingressGroupName, machineTags, tagKeys, text} from './names.ts';
import {choosePlacement, type Placement} from './placement.ts';
import {readSettings, type Ec2Settings} from './settings.ts';
import {userDataOf} from './user-data.ts';

export const ec2Steps = [
  {name: 'place', title: 'Choosing image, network and zone'},
  {name: 'firewall', title: 'Making the security group'},
  {name: 'fleet-network', title: 'Joining the network of the machines'},
  // What was started may have ended again (a spot instance): it is looked for once more.
  {name: 'instance', title: 'Starting the instance', volatile: true},
  {name: 'running', title: 'Waiting for the instance', volatile: true},
] as const satisfies readonly Step[];

export type Ec2StepName = (typeof ec2Steps)[number]['name'];

export interface Making {
  readonly ec2: Ec2;
  readonly settings: Ec2Settings;
  readonly machine: DriverMachine;
  readonly host: DriverHost;
}

const executors: Readonly<Record<Ec2StepName, (making: Making) => Promise<Resources>>> = {
  place: async ({ec2, settings, machine, host}) => ({
    // Tags must be the same at each try, so who and when are decided here.
    owner: text(machine.resources, 'owner') || host.operator,
    created: text(machine.resources, 'created') || host.clock.now().toISOString(),
    ...(await choosePlacement(ec2, settings, host)),
  }),
  firewall: ensureFirewall,
  'fleet-network': ensureFleetNetwork,
  instance: ensureInstance,
  running: async ({ec2, machine, host}) => {
    const instance = await awaitState(ec2, text(machine.resources, 'instance'), 'running', host, detail =>
      host.report(detail),
    );
    return instance === undefined ? {} : addressesOf(instance);
  },
};

export async function ensureStep(step: string, machine: DriverMachine, host: DriverHost): Promise<Resources> {
  const known = ec2Steps.find(candidate => candidate.name === step);
  if (known === undefined) throw new MachineError('driver-failed', `amazonec2 has no step "${step}"`);
  const settings = readSettings(machine.settings);
  const ec2 = await openEc2(settings.connection, host);
  return executors[known.name]({ec2, settings, machine, host});
}

/** Lets the operator in; also when the machine is started again, since an address at home changes. */
export async function ensureFirewall({ec2, settings, machine, host}: Making): Promise<Resources> {
  if (settings.securityGroups.length > 0) return {};
  const networks = await allowedNetworks(settings, host);
  const group = await ensureGroup(ec2, {
    name: ingressGroupName(machine.uuid),
    description: `Hawser: the way in to ${machine.name}`,
    vpc: text(machine.resources, 'vpc'),
    tags: machineTags(machine, host.fleet, settings.tags),
  });
  await host.note('firewall', {group});
  const {sshPort, openPorts} = settings;
  await ensureIngress(ec2, group, {networks, sshPort, openPorts}, host);
  return {group};
}

/** The group that all machines of the store share: whoever needs it first makes it. */
async function ensureFleetNetwork({ec2, settings, machine, host}: Making): Promise<Resources> {
  if (settings.securityGroups.length > 0) return {};
  const fleetGroup = await ensureGroup(ec2, {
    name: fleetGroupName(host.fleet),
    description: 'Hawser: the machines of one store reach each other',
    vpc: text(machine.resources, 'vpc'),
    tags: [{Key: tagKeys.fleet, Value: host.fleet}],
  });
  await ensureInside(ec2, fleetGroup, host);
  return {fleetGroup};
}

const MOST_LAUNCHES = 4;

async function ensureInstance(making: Making): Promise<Resources> {
  const {ec2, settings, machine, host} = making;
  const found = (await instancesByTag(ec2, tagKeys.uuid, [machine.uuid])).find(isUsable);
  if (found?.InstanceId !== undefined) {
    const id = found.InstanceId;
    if (stateName(found) === 'stopped')
      await ec2(`start the instance ${id}`, (api, options) =>
        api.startInstances({InstanceIds: [id]}, options),
      );
    return {instance: id};
  }
  const userData = userDataOf((await host.firstBoot([])).text);
  const tags = machineTags(machine, host.fleet, settings.tags);
  const placement = placementOf(machine.resources);
  const begin = Number(machine.resources['attempt'] ?? 0);
  let shared: Resources = {};
  for (let attempt = begin; attempt < begin + MOST_LAUNCHES; attempt++) {
    // From here on an instance may exist that no answer told us of: rm looks for it longer.
    await host.note('instance', {...shared, attempt});
    const groups = await groupsOf(making, shared);
    const token = clientToken(machine, attempt);
    const request = launchRequest({settings, placement, groups, tags, userData, token});
    const id = await launch(ec2, request);
    if (id === undefined) {
      // The last of the other machines went, and with it the group.
      shared = await ensureFleetNetwork(making);
      continue;
    }
    // A token names its instance even after somebody terminated it.
    const seen = await instanceById(ec2, id);
    if (seen === undefined || isUsable(seen)) return {...shared, instance: id};
  }
  throw new MachineError('driver-failed', 'each instance that was started ended at once', {
    remedy: `look at the reason with hawser machine inspect ${machine.name}`,
  });
}

/** The instance's id; undefined when a security group is gone. */
async function launch(ec2: Ec2, request: RunInstancesCommandInput): Promise<string | undefined> {
  try {
    const {Instances} = await ec2('start the instance', (api, options) => api.runInstances(request, options));
    const id = Instances?.[0]?.InstanceId;
    if (id !== undefined) return id;
    throw new MachineError('driver-failed', 'EC2 started no instance and gave no reason');
  } catch (error) {
    if (awsCode(error) === 'InvalidGroup.NotFound') return undefined;
    throw error;
  }
}

async function groupsOf({ec2, settings, machine}: Making, shared: Resources): Promise<string[]> {
  if (settings.securityGroups.length > 0)
    return namedGroups(ec2, text(machine.resources, 'vpc'), settings.securityGroups);
  const resources = {...machine.resources, ...shared};
  return [text(resources, 'group'), text(resources, 'fleetGroup')];
}

function placementOf(resources: Resources): Placement {
  return {
    ami: text(resources, 'ami'),
    rootDevice: text(resources, 'rootDevice'),
    vpc: text(resources, 'vpc'),
    subnet: text(resources, 'subnet'),
    zone: text(resources, 'zone'),
  };
}
