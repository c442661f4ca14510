/** Names, tags and idempotency tokens of what is made for a machine: all derive from its UUID. */
import {sha256} from '../../../services/common/hash.ts';
import type {DriverMachine, Resources} from '../../driver.ts';

/** What every resource of ours bears. */
export const tagKeys = {
  uuid: 'hawser:uuid',
  machine: 'hawser:machine',
  generation: 'hawser:generation',
  fleet: 'hawser:fleet',
  owner: 'hawser:owner',
  created: 'hawser:created',
  disk: 'hawser:disk-sha256',
  rootHash: 'hawser:root-hash',
  version: 'hawser:version',
} as const;

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** At most 255 characters from a set that EC2 documents for group names. */
export function ingressGroupName(uuid: string): string {
  return `hawser-${uuid}`;
}

/** The group by which the machines of one store reach each other. */
export function fleetGroupName(fleet: string): string {
  return `hawser-fleet-${fleet}`;
}

/**
 * RunInstances' ClientToken, 64 characters, which is the most that EC2 takes. EC2 answers a token with the same instance
 * even after it was terminated, so `attempt` rises with each instance that was lost.
 */
export function clientToken(machine: {uuid: string; generation: number}, attempt: number): string {
  return sha256(`amazonec2 instance ${machine.uuid} ${machine.generation} ${attempt}`);
}

/**
 * The tags of a machine's resources; operator and time come from its ledger, since a repeated RunInstances must be the
 * same in every byte. The operator's own tags never replace ours.
 */
export function machineTags(
  machine: Pick<DriverMachine, 'uuid' | 'name' | 'generation' | 'resources'>,
  fleet: string,
  own: Readonly<Record<string, string>>,
): Tag[] {
  const tags: Readonly<Record<string, string>> = {
    Name: machine.name,
    ...own,
    [tagKeys.uuid]: machine.uuid,
    [tagKeys.machine]: machine.name,
    [tagKeys.generation]: String(machine.generation),
    [tagKeys.fleet]: fleet,
    [tagKeys.owner]: text(machine.resources, 'owner'),
    [tagKeys.created]: text(machine.resources, 'created'),
  };
  return Object.entries(tags)
    .filter(([, value]) => value !== '')
    .map(([Key, Value]) => ({Key, Value}));
}

/** A resource as text; empty when there is none. */
export function text(resources: Resources, name: string): string {
  return String(resources[name] ?? '');
}

/** The value of a tag that EC2 told us. */
export function tagValue(
  tags: ReadonlyArray<{Key?: string | undefined; Value?: string | undefined}> | undefined,
  key: string,
): string | undefined {
  return tags?.find(tag => tag.Key === key)?.Value;
}
