/** What an operator names, or a refusal that says how to go on. Pure. */
import type {Channel, Group, KnownRelease, Rollout} from '../../common/contracts/policy.ts';
import {ServerError, unknownMachine} from '../errors.ts';
import type {Fleet, Machine} from '../fleet.ts';

export class Lookup {
  readonly #fleet: Fleet;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  channel(name: string): Channel {
    return found(
      this.#fleet,
      'channels',
      name,
      new ServerError('unknown-channel', `there is no channel "${name}"`, {
        remedy: 'hawser channel ls shows those there are; hawser channel set makes one',
      }),
    );
  }

  group(name: string): Group {
    return found(
      this.#fleet,
      'groups',
      name,
      new ServerError('unknown-group', `there is no group "${name}"`, {
        remedy: 'hawser group ls shows those there are; hawser group set makes one',
      }),
    );
  }

  release(version: string): KnownRelease {
    return found(
      this.#fleet,
      'releases',
      version,
      new ServerError('unknown-release', `release ${version} is not known to the server`, {
        remedy: 'publish it with hawser release publish',
      }),
    );
  }

  rollout(group: string): Rollout {
    this.group(group);
    return found(
      this.#fleet,
      'rollouts',
      group,
      new ServerError('unknown-rollout', `the group ${group} has no rollout`, {
        remedy: 'promote a release to its channel',
      }),
    );
  }

  /** By UUID or, when only one machine has it, by name. */
  machine(name: string): Machine {
    this.#fleet.checkReadable('machines', name);
    const direct = this.#fleet.machines.get(name);
    if (direct !== undefined) return direct;
    const uuids = this.#fleet
      .named(name)
      .filter(uuid => this.#fleet.assignments.get(uuid)?.forgotten === undefined);
    if (uuids.length > 1) {
      throw new ServerError('ambiguous-name', `${uuids.length} machines are called "${name}"`, {
        remedy: `name one by its UUID: ${uuids.slice(0, 4).join(', ')}`,
      });
    }
    const machine = uuids[0] === undefined ? undefined : this.#fleet.machines.get(uuids[0]);
    if (machine === undefined) throw unknownMachine(name);
    return machine;
  }
}

type Found = 'channels' | 'groups' | 'releases' | 'rollouts';

function found<K extends Found>(
  fleet: Fleet,
  kind: K,
  name: string,
  missing: ServerError,
): Fleet[K] extends Map<string, infer Value> ? Value : never;
function found(fleet: Fleet, kind: Found, name: string, missing: ServerError): unknown {
  fleet.checkReadable(kind, name);
  const value = fleet[kind].get(name);
  if (value === undefined) throw missing;
  return value;
}
