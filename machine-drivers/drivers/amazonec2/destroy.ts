/** Removal: everything that bears the machine's tag, whatever the ledger knows of it. */
import type {Instance} from '@aws-sdk/client-ec2';
import type {DriverHost, DriverMachine} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {awsCode, isNotFound} from './aws-errors.ts';
import {openEc2, type Ec2} from './client.ts';
import {deleteGroup, tryDeleteGroup} from './groups.ts';
import {awaitState, instanceById, instancesByTag, isAlive} from './instances.ts';
import {fleetGroupName, tagKeys, text} from './names.ts';
import {readSettings} from './settings.ts';
import {until} from './wait.ts';

/** How long a lost answer's instance may stay unknown to a search by tag. */
const LOST_WITHIN_MS = 30_000;
const DETACHED_WITHIN_MS = 120_000;

export async function destroyMachine(machine: DriverMachine, host: DriverHost): Promise<void> {
  const {connection} = readSettings(machine.settings);
  const ec2 = await openEc2(connection, host);
  const instances = await findInstances(ec2, machine, host);
  await terminate(ec2, instances, host);
  await deleteVolumes(ec2, machine.uuid, host);
  await deleteNetworkCards(ec2, machine.uuid, host);
  await deleteMachineGroups(ec2, machine, host);
  await deleteFleetGroups(ec2, host.fleet);
}

async function findInstances(ec2: Ec2, machine: DriverMachine, host: DriverHost): Promise<Instance[]> {
  const find = async () => (await instancesByTag(ec2, tagKeys.uuid, [machine.uuid])).filter(isAlive);
  const found = await find();
  const id = text(machine.resources, 'instance');
  if (found.length > 0) return found;
  if (id !== '') {
    const known = await instanceById(ec2, id);
    return known !== undefined && isAlive(known) ? [known] : [];
  }
  if (machine.resources['attempt'] === undefined) return [];
  // RunInstances was under way when the creation was killed: it may have been carried out.
  host.report('looking for an instance whose answer was lost');
  let late: Instance[] = [];
  await until(host, LOST_WITHIN_MS, async () => {
    late = await find();
    return late.length > 0;
  });
  return late;
}

async function terminate(ec2: Ec2, instances: readonly Instance[], host: DriverHost): Promise<void> {
  const requests = instances.flatMap(instance => instance.SpotInstanceRequestId ?? []);
  if (requests.length > 0) {
    await tolerate(() =>
      ec2('cancel the spot request', (api, options) =>
        api.cancelSpotInstanceRequests({SpotInstanceRequestIds: requests}, options),
      ),
    );
  }
  const ids = instances.flatMap(instance => instance.InstanceId ?? []);
  for (const id of ids) {
    await tolerate(() =>
      ec2(`terminate the instance ${id}`, (api, options) =>
        api.terminateInstances({InstanceIds: [id]}, options),
      ),
    );
  }
  for (const id of ids) await awaitState(ec2, id, 'terminated', host, detail => host.report(detail));
}

/** Disks end with their instance; what is left bears the tag all the same. */
async function deleteVolumes(ec2: Ec2, uuid: string, host: DriverHost): Promise<void> {
  await untilGone(host, 'volume', async () => {
    const {Volumes} = await ec2('look for volumes', (api, options) =>
      api.describeVolumes({Filters: [{Name: `tag:${tagKeys.uuid}`, Values: [uuid]}]}, options),
    );
    const left = (Volumes ?? []).flatMap(volume =>
      volume.State === 'deleting' || volume.State === 'deleted' ? [] : (volume.VolumeId ?? []),
    );
    for (const VolumeId of left) {
      await tolerate(() =>
        ec2(`delete the volume ${VolumeId}`, (api, options) => api.deleteVolume({VolumeId}, options)),
      );
    }
    return left;
  });
}

async function deleteNetworkCards(ec2: Ec2, uuid: string, host: DriverHost): Promise<void> {
  await untilGone(host, 'network interface', async () => {
    const {NetworkInterfaces} = await ec2('look for network interfaces', (api, options) =>
      api.describeNetworkInterfaces({Filters: [{Name: `tag:${tagKeys.uuid}`, Values: [uuid]}]}, options),
    );
    const left = (NetworkInterfaces ?? []).flatMap(card => card.NetworkInterfaceId ?? []);
    for (const NetworkInterfaceId of left) {
      await tolerate(() =>
        ec2(`delete the network interface ${NetworkInterfaceId}`, (api, options) =>
          api.deleteNetworkInterface({NetworkInterfaceId}, options),
        ),
      );
    }
    return left;
  });
}

async function deleteMachineGroups(ec2: Ec2, machine: DriverMachine, host: DriverHost): Promise<void> {
  const {SecurityGroups} = await ec2('look for security groups', (api, options) =>
    api.describeSecurityGroups({Filters: [{Name: `tag:${tagKeys.uuid}`, Values: [machine.uuid]}]}, options),
  );
  const found = (SecurityGroups ?? []).flatMap(group => group.GroupId ?? []);
  // A group that was just made may not be found by its tag yet.
  const known = text(machine.resources, 'group');
  for (const id of new Set(known === '' ? found : [...found, known])) {
    if (await deleteGroup(ec2, id, host)) continue;
    throw stillUsed(`the security group ${id}`);
  }
}

/**
 * One in each VPC; kept while anything uses it. A machine that has not yet come to use it makes it again (steps.ts), so
 * no lock is needed.
 */
async function deleteFleetGroups(ec2: Ec2, fleet: string): Promise<void> {
  const {SecurityGroups} = await ec2('look for the group of the machines', (api, options) =>
    api.describeSecurityGroups({Filters: [{Name: 'group-name', Values: [fleetGroupName(fleet)]}]}, options),
  );
  for (const {GroupId} of SecurityGroups ?? []) if (GroupId !== undefined) await tryDeleteGroup(ec2, GroupId);
}

async function untilGone(host: DriverHost, what: string, look: () => Promise<string[]>): Promise<void> {
  let left: string[] = [];
  const gone = await until(host, DETACHED_WITHIN_MS, async () => {
    left = await look();
    return left.length === 0;
  });
  if (!gone) throw stillUsed(`the ${what} ${left.join(', ')}`);
}

function stillUsed(what: string): MachineError {
  return new MachineError('driver-failed', `${what} is still in use`, {
    remedy: 'see in the AWS console by what, free it, and run hawser machine rm again',
  });
}

/** What is gone, or held for a moment longer, is no error: the caller looks again. */
async function tolerate(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const code = awsCode(error) ?? '';
    if (
      !isNotFound(error) &&
      !['VolumeInUse', 'InvalidParameterValue', 'IncorrectInstanceState'].includes(code)
    )
      throw error;
  }
}
