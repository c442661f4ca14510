/** What AWS itself knows of this store's machines, by their tags. */
import type {Tag} from '@aws-sdk/client-ec2';
import type {DriverContext, Found, Resources} from '../../driver.ts';
import {openEc2} from './client.ts';
import {addressesOf, instancesByTag, isAlive} from './instances.ts';
import {tagKeys, tagValue} from './names.ts';
import {readSettings} from './settings.ts';

interface Piece {
  readonly tags: readonly Tag[] | undefined;
  readonly what: string;
  readonly resources: Resources;
}

/** Instances, security groups and volumes with the store's tag, gathered by machine. */
export async function findMachines(settings: unknown, context: DriverContext): Promise<readonly Found[]> {
  const ec2 = await openEc2(readSettings(settings).connection, context);
  const Filters = [{Name: `tag:${tagKeys.fleet}`, Values: [context.fleet]}];
  const instances = await instancesByTag(ec2, tagKeys.fleet, [context.fleet]);
  const {SecurityGroups} = await ec2('look for security groups', (api, options) =>
    api.describeSecurityGroups({Filters}, options),
  );
  const {Volumes} = await ec2('look for volumes', (api, options) => api.describeVolumes({Filters}, options));
  return gather([
    ...instances.filter(isAlive).map(instance => ({
      tags: instance.Tags,
      what: `instance ${instance.InstanceId}`,
      resources: {instance: instance.InstanceId ?? '', ...addressesOf(instance)},
    })),
    ...(SecurityGroups ?? []).map(group => ({
      tags: group.Tags,
      what: `security group ${group.GroupId}`,
      resources: {group: group.GroupId ?? ''},
    })),
    ...(Volumes ?? []).map(volume => ({
      tags: volume.Tags,
      what: `volume ${volume.VolumeId}`,
      resources: {},
    })),
  ]);
}

/** Pure. What bears no machine's UUID (the group that all share) is nobody's. */
export function gather(pieces: readonly Piece[]): readonly Found[] {
  const found = new Map<string, Found>();
  for (const {tags, what, resources} of pieces) {
    const uuid = tagValue(tags && [...tags], tagKeys.uuid);
    if (uuid === undefined) continue;
    const before = found.get(uuid);
    found.set(uuid, {
      uuid,
      name: tagValue(tags && [...tags], tagKeys.machine) ?? uuid,
      generation: Number(tagValue(tags && [...tags], tagKeys.generation) ?? 1),
      created: tagValue(tags && [...tags], tagKeys.created) ?? '',
      what: before === undefined ? what : `${before.what}, ${what}`,
      resources: {...before?.resources, ...resources},
    });
  }
  return [...found.values()];
}
