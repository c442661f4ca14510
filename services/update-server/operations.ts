/** What operators can do to channels, groups, releases, rollouts and machines. */
import {randomBytes} from 'node:crypto';
import type {Caller} from '../common/contracts/caller.ts';
import {
  STATE_SCHEMA,
  type Assignment,
  type AssignmentChange,
  type Channel,
  type Group,
  type GroupConfig,
  type KnownRelease,
  type ReleaseFacts,
  type Rollout,
} from '../common/contracts/policy.ts';
import type {Changer} from './changes.ts';
import {ServerError} from './errors.ts';
import type {Fleet, Machine} from './fleet.ts';
import {unknownMachine} from './reports.ts';
import {failuresIn} from './rollout.ts';
import {checkWaves} from './waves.ts';
import {checkWindow} from './windows.ts';

export type Operator = Extract<Caller, {kind: 'operator'}>;
export type RolloutVerb = 'pause' | 'resume' | 'abort';

export class Operations {
  readonly #fleet: Fleet;
  readonly #changer: Changer;

  constructor(fleet: Fleet, changer: Changer) {
    this.#fleet = fleet;
    this.#changer = changer;
  }

  async setChannel(name: string, description: string | undefined, by: Operator): Promise<void> {
    await this.#changer.edit<Channel>({
      kind: 'channels',
      name,
      act: {by: by.name, action: 'channel-set'},
      change: now => ({
        schema: STATE_SCHEMA,
        ...this.#fleet.channels.get(name),
        name,
        ...(description === undefined ? {} : {description}),
        changedAt: now,
      }),
    });
  }

  async removeChannel(name: string, by: Operator): Promise<void> {
    await this.#changer.edit<Channel>({
      kind: 'channels',
      name,
      act: {by: by.name, action: 'channel-removed'},
      change: () => {
        this.channel(name);
        const group = [...this.#fleet.groups.values()].find(({config}) => config.channel === name);
        if (group === undefined) return undefined;
        throw new ServerError('in-use', `the group ${group.name} follows the channel ${name}`, {
          remedy: 'set the group to another channel first',
        });
      },
    });
  }

  /** Offers a release to every group that follows the channel: each begins a rollout of its own. */
  async promote(name: string, version: string, by: Operator): Promise<Channel> {
    const channel = await this.#changer.edit<Channel>({
      kind: 'channels',
      name,
      act: {by: by.name, action: 'promoted', detail: version},
      change: now => {
        const before = this.channel(name);
        const release = this.release(version);
        if (release.withdrawn !== undefined) {
          throw new ServerError('withdrawn', `release ${version} is withdrawn: ${release.withdrawn.reason}`, {
            remedy: 'publish a release with a higher version',
          });
        }
        const id = randomBytes(8).toString('hex');
        return {...before, promotion: {id, version, at: now, by: by.name}, changedAt: now};
      },
    });
    return channel ?? this.channel(name);
  }

  async setGroup(name: string, config: GroupConfig, by: Operator): Promise<void> {
    checkWaves(config.waves ?? []);
    for (const window of [
      ...(config.windows ?? []),
      ...(config.waves ?? []).flatMap(wave => wave.windows ?? []),
    ])
      checkWindow(window);
    await this.#changer.edit<Group>({
      kind: 'groups',
      name,
      act: {by: by.name, action: 'group-set'},
      change: now => {
        this.channel(config.channel);
        return {schema: STATE_SCHEMA, name, config, changedAt: now, changedBy: by.name};
      },
    });
  }

  async removeGroup(name: string, by: Operator): Promise<void> {
    await this.#changer.edit<Group>({
      kind: 'groups',
      name,
      act: {by: by.name, action: 'group-removed'},
      change: () => {
        this.group(name);
        return undefined;
      },
    });
    if (!this.#fleet.rollouts.has(name)) return;
    await this.#changer.edit<Rollout>({
      kind: 'rollouts',
      name,
      act: {by: by.name, action: 'rollout-removed'},
      change: () => undefined,
    });
  }

  /** Makes a published release known. The same facts again are fine; others for the same version are refused. */
  async registerRelease(facts: ReleaseFacts, by: Operator): Promise<void> {
    const known = this.#fleet.releases.get(facts.version);
    if (known !== undefined && sameFacts(known.facts, facts)) return;
    await this.#changer.edit<KnownRelease>({
      kind: 'releases',
      name: facts.version,
      act: {by: by.name, action: 'release-registered'},
      change: now => {
        const before = this.#fleet.releases.get(facts.version);
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
  }

  async withdraw(version: string, reason: string, by: Operator): Promise<void> {
    await this.#changer.edit<KnownRelease>({
      kind: 'releases',
      name: version,
      act: {by: by.name, action: 'release-withdrawn', detail: reason},
      change: now => {
        const known = this.release(version);
        return {...known, withdrawn: known.withdrawn ?? {at: now, by: by.name, reason}};
      },
    });
  }

  async changeRollout(group: string, verb: RolloutVerb, reason: string | undefined, by: Operator) {
    const said = reason === undefined ? {} : {detail: reason};
    return this.#changer.edit<Rollout>({
      kind: 'rollouts',
      name: group,
      act: {by: by.name, action: `rollout-${verb}`, ...said},
      change: now => turn(this.rollout(group), verb, this.#fleet, now, reason ?? `by ${by.name}`),
    });
  }

  async assign(name: string, change: AssignmentChange, by: Operator): Promise<void> {
    const {uuid} = this.machine(name).record;
    if (typeof change.group === 'string') this.group(change.group);
    if (typeof change.pin === 'string') this.release(change.pin);
    await this.#changer.edit<Assignment>({
      kind: 'assignments',
      name: uuid,
      act: {by: by.name, action: 'machine-changed', detail: JSON.stringify(change)},
      change: () => assigned(this.#fleet.assignments.get(uuid) ?? {schema: STATE_SCHEMA, uuid}, change),
    });
  }

  /** Refuses the machine's certificate from now on, and takes it out of every count. */
  async forget(name: string, by: Operator): Promise<string> {
    const {uuid} = this.machine(name).record;
    await this.#changer.edit<Assignment>({
      kind: 'assignments',
      name: uuid,
      act: {by: by.name, action: 'machine-forgotten'},
      change: now => ({
        schema: STATE_SCHEMA,
        ...this.#fleet.assignments.get(uuid),
        uuid,
        forgotten: {at: now, by: by.name},
      }),
    });
    return uuid;
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

function turn(rollout: Rollout, verb: RolloutVerb, fleet: Fleet, now: string, reason: string): Rollout {
  const {state} = rollout;
  const from = {pause: ['running'], resume: ['paused', 'stopped'], abort: ['running', 'paused', 'stopped']}[
    verb
  ];
  if (!from.includes(state)) {
    throw new ServerError('wrong-state', `the rollout of ${rollout.group} is ${state}`, {
      remedy: `only one that is ${from.join(' or ')} can be ${{pause: 'paused', resume: 'resumed', abort: 'aborted'}[verb]}`,
    });
  }
  if (verb === 'pause') return {...rollout, state: 'paused', reason, changedAt: now};
  if (verb === 'abort') return {...rollout, state: 'aborted', reason, changedAt: now};
  if (fleet.releases.get(rollout.version)?.withdrawn !== undefined) {
    throw new ServerError('withdrawn', `release ${rollout.version} is withdrawn`, {
      remedy: 'promote another release',
    });
  }
  const {reason: _, ...rest} = rollout;
  const failed = failuresIn(rollout.group, fleet, Date.parse(now));
  const forgiven = [...new Set([...rollout.forgiven, ...failed])].sort();
  return {...rest, state: 'running', forgiven, changedAt: now};
}

function assigned(before: Assignment, change: AssignmentChange): Assignment {
  const {group: _, pin: __, labels: ___, ...rest} = before;
  const group = change.group === undefined ? before.group : (change.group ?? undefined);
  const pin = change.pin === undefined ? before.pin : (change.pin ?? undefined);
  const labels = Object.entries({...before.labels, ...change.labels}).flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  );
  return {
    ...rest,
    ...(group === undefined ? {} : {group}),
    ...(pin === undefined ? {} : {pin}),
    ...(labels.length === 0 ? {} : {labels: Object.fromEntries(labels)}),
  };
}

function sameFacts(a: ReleaseFacts, b: ReleaseFacts): boolean {
  const names = ['rootHash', 'created', 'barrier', 'from', 'downgradeFrom', 'fullBytes'] as const;
  return names.every(name => a[name] === b[name]);
}
