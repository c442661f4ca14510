/** Releases: made known, promoted to a channel, withdrawn. */
import {randomBytes} from 'node:crypto';
import type {Operator} from '../../common/contracts/caller.ts';
import {
  STATE_SCHEMA,
  type Channel,
  type KnownRelease,
  type ReleaseFacts,
} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import type {OperationTools} from './tools.ts';

export function releaseOperations({fleet, changer, lookup}: OperationTools) {
  return {
    /** Makes a published release known. The same facts again are fine; others for the same version are refused. */
    async registerRelease(facts: ReleaseFacts, by: Operator): Promise<void> {
      const known = fleet.releases.get(facts.version);
      if (known !== undefined && sameFacts(known.facts, facts)) return;
      await changer.edit<KnownRelease>({
        kind: 'releases',
        name: facts.version,
        act: {by: by.name, action: 'release-registered'},
        change: now => {
          const before = fleet.releases.get(facts.version);
          if (before !== undefined && before.facts.rootHash !== facts.rootHash) {
            throw new ServerError(
              'different-release',
              `release ${facts.version} is known with the root hash ${before.facts.rootHash}`,
              {remedy: 'a version names one image for ever: publish this one under a higher version'},
            );
          }
          return {schema: STATE_SCHEMA, registeredAt: now, ...before, facts};
        },
      });
    },

    /** Offers a release to every group that follows the channel: each begins a rollout of its own. */
    async promote(name: string, version: string, by: Operator): Promise<Channel> {
      const channel = await changer.edit<Channel>({
        kind: 'channels',
        name,
        act: {by: by.name, action: 'promoted', detail: version},
        change: now => {
          const before = lookup.channel(name);
          const release = lookup.release(version);
          if (release.withdrawn !== undefined) {
            throw new ServerError(
              'withdrawn',
              `release ${version} is withdrawn: ${release.withdrawn.reason}`,
              {
                remedy: 'publish a release with a higher version',
              },
            );
          }
          const id = randomBytes(8).toString('hex');
          return {...before, promotion: {id, version, at: now, by: by.name}, changedAt: now};
        },
      });
      return channel ?? lookup.channel(name);
    },

    async withdraw(version: string, reason: string, by: Operator): Promise<void> {
      await changer.edit<KnownRelease>({
        kind: 'releases',
        name: version,
        act: {by: by.name, action: 'release-withdrawn', detail: reason},
        change: now => {
          const known = lookup.release(version);
          return {...known, withdrawn: known.withdrawn ?? {at: now, by: by.name, reason}};
        },
      });
    },
  };
}

function sameFacts(a: ReleaseFacts, b: ReleaseFacts): boolean {
  const names = ['rootHash', 'created', 'barrier', 'from', 'downgradeFrom', 'fullBytes'] as const;
  return names.every(name => a[name] === b[name]);
}
