/** Channels and groups. */
import type {Operator} from '../../common/contracts/caller.ts';
import {
  STATE_SCHEMA,
  type Channel,
  type Group,
  type GroupConfig,
  type Rollout,
} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import {checkWaves} from '../waves.ts';
import {checkWindow} from '../windows.ts';
import type {OperationTools} from './tools.ts';

export function policyOperations({fleet, changer, lookup}: OperationTools) {
  return {
    async setChannel(name: string, description: string | undefined, by: Operator): Promise<void> {
      await changer.edit<Channel>({
        kind: 'channels',
        name,
        act: {by: by.name, action: 'channel-set'},
        change: now => ({
          schema: STATE_SCHEMA,
          ...fleet.channels.get(name),
          name,
          ...(description === undefined ? {} : {description}),
          changedAt: now,
        }),
      });
    },

    async removeChannel(name: string, by: Operator): Promise<void> {
      await changer.edit<Channel>({
        kind: 'channels',
        name,
        act: {by: by.name, action: 'channel-removed'},
        change: () => {
          lookup.channel(name);
          const group = [...fleet.groups.values()].find(({config}) => config.channel === name);
          if (group === undefined) return undefined;
          throw new ServerError('in-use', `the group ${group.name} follows the channel ${name}`, {
            remedy: 'set the group to another channel first',
          });
        },
      });
    },

    async setGroup(name: string, config: GroupConfig, by: Operator): Promise<void> {
      checkWaves(config.waves ?? []);
      for (const window of [
        ...(config.windows ?? []),
        ...(config.waves ?? []).flatMap(wave => wave.windows ?? []),
      ])
        checkWindow(window);
      await changer.edit<Group>({
        kind: 'groups',
        name,
        act: {by: by.name, action: 'group-set'},
        change: now => {
          lookup.channel(config.channel);
          return {schema: STATE_SCHEMA, name, config, changedAt: now, changedBy: by.name};
        },
      });
    },

    async removeGroup(name: string, by: Operator): Promise<void> {
      await changer.edit<Group>({
        kind: 'groups',
        name,
        act: {by: by.name, action: 'group-removed'},
        change: () => {
          lookup.group(name);
          return undefined;
        },
      });
      if (!fleet.rollouts.has(name)) return;
      await changer.edit<Rollout>({
        kind: 'rollouts',
        name,
        act: {by: by.name, action: 'rollout-removed'},
        change: () => undefined,
      });
    },
  };
}
