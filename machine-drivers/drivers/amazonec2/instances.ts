/** Instances as EC2 describes them, and what they mean to us. */
import type {Instance} from '@aws-sdk/client-ec2';
import type {MachineState, Observation, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {isNotFound} from './aws-errors.ts';
import type {Ec2} from './client.ts';
import {tagKeys, tagValue} from './names.ts';
import {until, type Waiting} from './wait.ts';

/** EC2: values that one filter may have. */
const FILTER_VALUES = 200;
/** How long an instance that was just made may be unknown to the next call. */
const VISIBLE_WITHIN_MS = 60_000;
const STATE_WITHIN_MS = 900_000;

const states: Readonly<Record<string, MachineState>> = {
  pending: 'Starting',
  running: 'Running',
  'shutting-down': 'Stopping',
  terminated: 'None',
  stopping: 'Stopping',
  stopped: 'Stopped',
};

/** All instances with a tag that has one of `values`, terminated ones included; one call for up to 200 of them. */
export async function instancesByTag(ec2: Ec2, key: string, values: readonly string[]): Promise<Instance[]> {
  const instances: Instance[] = [];
  for (let at = 0; at < values.length; at += FILTER_VALUES) {
    const Filters = [{Name: `tag:${key}`, Values: values.slice(at, at + FILTER_VALUES)}];
    let NextToken: string | undefined;
    do {
      const page = await ec2('look at the instances', (api, options) =>
        api.describeInstances({Filters, ...(NextToken === undefined ? {} : {NextToken})}, options),
      );
      instances.push(...(page.Reservations ?? []).flatMap(reservation => reservation.Instances ?? []));
      NextToken = page.NextToken;
    } while (NextToken !== undefined && NextToken !== '');
  }
  return instances;
}

/** Undefined while EC2 does not know it (any more). */
export async function instanceById(ec2: Ec2, id: string): Promise<Instance | undefined> {
  try {
    const {Reservations} = await ec2(`look at the instance ${id}`, (api, options) =>
      api.describeInstances({InstanceIds: [id]}, options),
    );
    return Reservations?.[0]?.Instances?.[0];
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export function stateName(instance: Instance): string {
  return instance.State?.Name ?? 'pending';
}

/** True while there is something to remove or to pay for. */
export function isAlive(instance: Instance): boolean {
  return stateName(instance) !== 'terminated';
}

/** Neither gone nor going. */
export function isUsable(instance: Instance): boolean {
  return isAlive(instance) && stateName(instance) !== 'shutting-down';
}

/** Addresses as resources; empty where there is none. */
export function addressesOf(instance: Instance): Resources {
  const card = instance.NetworkInterfaces?.[0];
  return {
    publicAddress: instance.PublicIpAddress ?? '',
    privateAddress: instance.PrivateIpAddress ?? '',
    ipv6Address: instance.Ipv6Address ?? card?.Ipv6Addresses?.[0]?.Ipv6Address ?? '',
  };
}

/** Why it is in this state, in EC2's words, for instance that a spot instance was taken back. */
export function reasonOf(instance: Instance): string | undefined {
  const {Code: code, Message: message} = instance.StateReason ?? {};
  if (code === undefined || code === '') return undefined;
  if (code === 'Server.SpotInstanceTermination' || code === 'Server.SpotInstanceShutdown')
    return `AWS took the spot instance back (${code})`;
  return message === undefined || message === '' ? code : message;
}

export function observationOf(instance: Instance): Observation {
  const state = states[stateName(instance)] ?? 'Error';
  const reason = state === 'Running' || state === 'Starting' ? undefined : reasonOf(instance);
  return {state, resources: addressesOf(instance), ...(reason === undefined ? {} : {detail: reason})};
}

/** Of the instances that a machine had, the one that counts: usable before going before gone. */
export function newestByUuid(instances: readonly Instance[]): ReadonlyMap<string, Instance> {
  const weight = (instance: Instance) => (isUsable(instance) ? 2 : isAlive(instance) ? 1 : 0);
  const chosen = new Map<string, Instance>();
  for (const instance of instances) {
    const uuid = tagValue(instance.Tags, tagKeys.uuid);
    if (uuid === undefined) continue;
    const before = chosen.get(uuid);
    if (before === undefined || weight(instance) > weight(before)) chosen.set(uuid, instance);
  }
  return chosen;
}

/**
 * Waits until the instance is `wanted`. Throws `driver-failed` with EC2's reason when it ends instead, and when it takes
 * too long. An instance that was just made may be unknown for a while.
 */
export async function awaitState(
  ec2: Ec2,
  id: string,
  wanted: 'running' | 'stopped' | 'terminated',
  waiting: Waiting,
  report: (detail: string) => void = () => undefined,
  ms = STATE_WITHIN_MS,
): Promise<Instance | undefined> {
  const unknownUntil = waiting.clock.now().getTime() + VISIBLE_WITHIN_MS;
  let last: Instance | undefined;
  const reached = await until(waiting, ms, async () => {
    const seen = await instanceById(ec2, id);
    if (seen === undefined) {
      if (wanted === 'terminated') return true;
      if (waiting.clock.now().getTime() < unknownUntil) return false;
      throw new MachineError('driver-failed', `the instance ${id} does not exist any more`);
    }
    last = seen;
    const state = stateName(seen);
    report(`instance ${id} is ${state}`);
    if (state === wanted) return true;
    if (!isUsable(seen) && wanted !== 'terminated') {
      throw new MachineError('driver-failed', `the instance ${id} ended: ${reasonOf(seen) ?? state}`);
    }
    return false;
  });
  if (reached) return last;
  throw new MachineError(
    'driver-failed',
    `the instance ${id} is ${last === undefined ? 'unknown' : stateName(last)}, not ${wanted}, after ${Math.round(ms / 1000)} s`,
    {remedy: 'look at it in the AWS console, or try again'},
  );
}
