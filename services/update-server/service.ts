/** The update server without HTTP: the fleet in memory, kept equal to the store, and everything that changes it. */
import type {Clock} from '../common/clock.ts';
import type {Caller} from '../common/contracts/caller.ts';
import type {AuditList} from '../common/contracts/audit.ts';
import type {CheckAnswer, CheckRequest} from '../common/contracts/fleet.ts';
import {STATE_SCHEMA, type Channel, type Group, type StoredEvent} from '../common/contracts/policy.ts';
import {createChanger, type Changer} from './changes.ts';
import {codecs, encode} from './codec.ts';
import {createConductor, type Conductor} from './conductor.ts';
import {ServerError} from './errors.ts';
import {Fleet} from './fleet.ts';
import {follow, type Following} from './follow.ts';
import {settingsOf} from './groups.ts';
import {checkWay} from './hop.ts';
import {keyOf, prefixOf} from './keys.ts';
import {createOperations, type Operations} from './operations.ts';
import {Lookup} from './operations/lookup.ts';
import type {ReadLocks, Store} from './ports.ts';
import {noteFailure} from './report.ts';
import {createReportWriter, type ReportWriter} from './reports.ts';
import {decide} from './rollout.ts';
import type {StatusInput} from './status.ts';

export type MachineCaller = Extract<Caller, {kind: 'machine'}>;

/** A server cut off from the store for longer says so rather than answer from what may be out of date. */
const STALE_MS = 30_000;
const DEFAULT_POLL_SECONDS = 300;

export interface ServiceOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Addresses of repositories that machines are told of; absent: the server's own. */
  readonly repositories?: readonly string[];
  readonly locks?: ReadLocks;
  readonly failed?: (error: unknown) => void;
}

export class UpdateService {
  readonly fleet = new Fleet();
  readonly changer: Changer;
  readonly lookup = new Lookup(this.fleet);
  readonly operations: Operations;
  readonly conductor: Conductor;
  readonly #reports: ReportWriter;
  readonly #options: ServiceOptions;
  readonly #seen = new Map<string, number>();
  #following: Following | undefined;

  private constructor(options: ServiceOptions) {
    const {store, clock} = options;
    this.#options = options;
    const failed = options.failed ?? (() => undefined);
    const touched = (groups: Iterable<string>): void => this.conductor.touch(groups);
    this.conductor = createConductor(store, this.fleet, clock, failed);
    this.changer = createChanger(store, this.fleet, clock, touched);
    this.operations = createOperations(this.fleet, this.changer, this.lookup);
    this.#reports = createReportWriter(store, this.fleet, clock, touched);
  }

  /** Lists the store and follows it. Throws `store-unavailable`. */
  static async open(options: ServiceOptions): Promise<UpdateService> {
    const service = new UpdateService(options);
    const {store, clock, failed = () => undefined} = options;
    const events = {touched: (groups: Iterable<string>) => service.conductor.touch(groups), failed};
    service.#following = await follow(store, service.fleet, events, clock);
    return service;
  }

  close(): void {
    this.#following?.stop();
  }

  /** A channel `stable` and a group for every machine, where there is nothing yet. */
  async seed(): Promise<void> {
    if (this.fleet.channels.size > 0 || this.fleet.groups.size > 0) return;
    const now = this.#options.clock.now().toISOString();
    const channel: Channel = {schema: STATE_SCHEMA, name: 'stable', changedAt: now};
    const config = {
      description: 'every machine that no other group selects',
      channel: 'stable',
      selector: {},
    };
    const group: Group = {schema: STATE_SCHEMA, name: 'default', config, changedAt: now, changedBy: 'hawser'};
    // Lost against another server that starts at the same time: it wrote the same.
    await this.#options.store.commit([
      {key: keyOf('channels', 'stable'), value: encode(channel), expect: 0n},
      {key: keyOf('groups', 'default'), value: encode(group), expect: 0n},
    ]);
  }

  /** Whether answers can be given: `stale` once the store has been out of reach for a while. */
  checkFresh(): void {
    const since = this.#following?.staleSince();
    if (since === undefined || this.#now() - since < STALE_MS) return;
    throw new ServerError('stale', 'this server is cut off from etcd', {
      remedy: 'ask again later, or another server',
    });
  }

  /** Refuses machines that were forgotten. */
  checkKnown(machine: MachineCaller): void {
    this.fleet.checkReadable('assignments', machine.uuid);
    if (this.fleet.assignments.get(machine.uuid)?.forgotten === undefined) return;
    throw new ServerError('forgotten', 'this machine was forgotten: its certificate is worth nothing here', {
      remedy: 'create it anew',
    });
  }

  /** `POST /v1/check`. */
  async check(caller: MachineCaller, request: CheckRequest): Promise<CheckAnswer> {
    this.checkFresh();
    this.checkKnown(caller);
    this.#checkName(caller, request.name);
    const record = await this.#reports.submit(caller, request);
    const now = this.#now();
    this.#seen.set(caller.uuid, now);
    const machine = this.fleet.machines.get(caller.uuid);
    if (machine === undefined) throw new ServerError('conflict', 'the record of this machine went away');
    const {group} = this.#checkGroup(machine.membership);
    const {action, version, reason, turnAt, target} = decide(machine, this.fleet, now);
    if (target !== undefined) checkWay(this.fleet.unreadable, request.version, target);
    const poll = group === undefined ? DEFAULT_POLL_SECONDS : settingsOf(group.config).pollSeconds;
    const until = turnAt === undefined ? poll : Math.ceil((turnAt - now) / 1000);
    const {repositories} = this.#options;
    return {
      action,
      ...(version === undefined ? {} : {version}),
      reason: reason.slice(0, 512),
      ...(repositories === undefined ? {} : {repositories: [...repositories]}),
      pollSeconds: Math.max(5, Math.min(poll, until)),
      eventsReceived: record.eventsReceived,
    };
  }

  /** A failure that the reboot lock saw: the machine came back on another version. Durable when it resolves. */
  async recordFailure(
    uuid: string,
    failure: {readonly version: string; readonly reason: string},
  ): Promise<void> {
    await this.#reports.change(uuid, (record, now) => noteFailure(record, failure, now));
    await this.conductor.settle();
  }

  /** A machine's last events, oldest first. */
  async events(uuid: string): Promise<readonly StoredEvent[]> {
    const {entries} = await this.#options.store.list(`${prefixOf('events')}${uuid}/`);
    return entries.map(({key, value}) => codecs.events.decode(key, value));
  }

  /** Newest first. One entry that cannot be read does not hide the others. */
  async audit(limit: number, before?: string): Promise<AuditList> {
    const prefix = prefixOf('audit');
    const until = before === undefined ? undefined : `${prefix}${before}`;
    const found = await this.#options.store.last(prefix, limit, until);
    const problems: string[] = [];
    const entries = found.flatMap(({key, value}) => {
      try {
        const {schema: _known, ...entry} = codecs.audit.decode(key, value);
        return [{id: key.slice(prefix.length), ...entry}];
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        problems.push(error.message);
        return [];
      }
    });
    const oldest = found.length < limit ? undefined : found.at(-1)?.key.slice(prefix.length);
    return {entries, problems, ...(oldest === undefined ? {} : {before: oldest})};
  }

  /** Whether changes arrive from the store now. */
  connected(): boolean {
    return this.#following?.staleSince() === undefined;
  }

  /** How many machines were not heard, by this server or as far as the store tells, for so long. */
  silent(seconds: number): number {
    const since = this.#now() - seconds * 1000;
    let silent = 0;
    for (const [uuid, {record, assignment}] of this.fleet.machines) {
      if (assignment?.forgotten !== undefined) continue;
      if ((this.#seen.get(uuid) ?? 0) < since && Date.parse(record.lastSeen) < since) silent += 1;
    }
    return silent;
  }

  async statusInput(): Promise<StatusInput> {
    const locks = (await this.#options.locks?.()) ?? [];
    return {fleet: this.fleet, locks, seen: this.#seen, now: this.#now()};
  }

  #now(): number {
    return this.#options.clock.now().getTime();
  }

  /** The name is the certificate's; a body that says another machine's name is an attempt to be it. */
  #checkName(caller: MachineCaller, name: string): void {
    if (name === caller.name || this.fleet.named(name).every(uuid => uuid === caller.uuid)) return;
    throw new ServerError('other-identity', `"${name}" is another machine`, {
      remedy: 'a machine can act for itself only',
    });
  }

  #checkGroup(membership: {readonly kind: string; readonly group?: string}): {readonly group?: Group} {
    // One unreadable group may be the one that selects this machine: no answer is better than a wrong one.
    for (const [key, error] of this.fleet.unreadable)
      if (key.startsWith(prefixOf('groups')) || key === keyOf('rollouts', membership.group ?? ''))
        throw error;
    const group = membership.group === undefined ? undefined : this.fleet.groups.get(membership.group);
    if (group === undefined) return {};
    this.fleet.checkReadable('channels', group.config.channel);
    return {group};
  }
}
