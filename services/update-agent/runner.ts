/**
 * Carries out what the machine says until it rests: one run of the agent. The same function runs on a host and, with
 * doubles for ports, in the simulations.
 */
import type {Clock} from '../common/clock.ts';
import type {MachinePhase} from '../common/contracts/fleet.ts';
import type {AskedCommand, Command, CommandName, CommandOf} from './commands.ts';
import {UpdateAgentError} from './errors.ts';
import type {AgentEvent} from './events.ts';
import {step} from './machine.ts';
import type {AgentPorts, AgentSettings, MachineFacts} from './ports.ts';
import {addEvent, addFailed, changeRecord, dropReceived, type AgentRecord} from './record.ts';
import {recover} from './recover.ts';
import {checkRequest} from './request.ts';
import type {Policy, State} from './states.ts';

export interface RunOptions {
  readonly settings: AgentSettings;
  readonly gate?: boolean;
  readonly operator?: Partial<Policy['operator']>;
  /** The first event; `wake` when absent. */
  readonly first?: AgentEvent;
}

export interface RunResult {
  readonly state: State;
  readonly record: AgentRecord;
  readonly wake: 'poll' | 'retry' | 'now' | 'never';
  readonly waitsFor: string | undefined;
}

/** Steps in one run; a run of a whole update takes about 20. Past it the table would have a loop without a rest. */
export const maxSteps = 100;

/** One run of the agent, from what disk and machine say to the next rest. Throws what a port throws. */
export async function runAgent(ports: AgentPorts, clock: Clock, options: RunOptions): Promise<RunResult> {
  const run = new Run(ports, clock, options, await ports.record.load(), await ports.facts());
  return run.toRest();
}

type Executors = {
  readonly [Name in Exclude<CommandName, 'rest'>]: (
    command: CommandOf<Name>,
  ) => Promise<Name extends AskedCommand ? AgentEvent : void>;
};

class Run {
  readonly #ports: AgentPorts;
  readonly #clock: Clock;
  readonly #options: RunOptions;
  readonly #facts: MachineFacts;
  #record: AgentRecord;
  #saved: AgentRecord;
  #state: State;

  constructor(
    ports: AgentPorts,
    clock: Clock,
    options: RunOptions,
    record: AgentRecord,
    facts: MachineFacts,
  ) {
    this.#ports = ports;
    this.#clock = clock;
    this.#options = options;
    this.#record = record;
    this.#saved = record;
    this.#facts = facts;
    const trialEntry = record.trial === undefined ? 'gone' : facts.trialEntry(record.trial.version);
    this.#state = recover(record, {own: facts.own, bootId: facts.bootId, trialEntry}, this.#now());
  }

  async toRest(): Promise<RunResult> {
    let event: AgentEvent = this.#options.first ?? {kind: 'wake'};
    for (let taken = 0; taken < maxSteps; taken += 1) {
      const {next, commands} = step(this.#state, event, this.#policy());
      const why = 'detail' in event && event.detail !== undefined ? ` (${event.detail})` : '';
      this.#ports.log(`${this.#state.phase}: ${event.kind}${why} -> ${next.phase}`);
      this.#state = next;
      const last = await this.#carryOut(commands);
      if (last === undefined) throw new UpdateAgentError('too-many-steps', `${event.kind} led to nothing`);
      if (!('kind' in last)) return {state: this.#state, record: this.#record, ...last};
      event = last;
    }
    throw new UpdateAgentError('too-many-steps', `no rest after ${maxSteps} steps, now ${this.#state.phase}`);
  }

  /** The event that an asked command brought, or how the run ends. */
  async #carryOut(
    commands: readonly Command[],
  ): Promise<AgentEvent | Pick<RunResult, 'wake' | 'waitsFor'> | undefined> {
    for (const command of commands) {
      if (command.do === 'rest') {
        const {waitsFor: _before, ...record} = this.#record;
        await this.#save({
          ...record,
          phase: this.#state.phase,
          ...(command.waitsFor === undefined ? {} : {waitsFor: command.waitsFor}),
        });
        return {wake: command.wake, waitsFor: command.waitsFor};
      }
      const event = await this.#execute(command);
      if (event !== undefined) return event;
    }
    return undefined;
  }

  #execute<Name extends Exclude<CommandName, 'rest'>>(command: CommandOf<Name>): Promise<AgentEvent | void> {
    // Each executor takes exactly its own command: TypeScript does not see that the two sides are picked by one name.
    const execute = this.#executors[command.do] as (command: CommandOf<Name>) => Promise<AgentEvent | void>;
    return execute(command);
  }

  readonly #executors: Executors = {
    remember: async ({change}) => {
      const {trial} = change;
      await this.#save(
        changeRecord(this.#record, {
          ...change,
          ...(trial === undefined || trial === null
            ? {}
            : {
                trial: {
                  ...trial,
                  bootId: this.#facts.bootId,
                  gateSeconds: this.#ports.health.limitSeconds,
                },
              }),
        }),
      );
    },
    rememberFailed: ({failed}) => this.#save(addFailed(this.#record, failed)),
    rememberVerdict: async ({verdict, detail}) => {
      const {trial} = this.#record;
      if (trial === undefined) return;
      await this.#save(
        changeRecord(this.#record, {trial: {...trial, verdict, ...(detail === undefined ? {} : {detail})}}),
      );
    },
    rememberReboots: async ({reboots}) => {
      const {trial} = this.#record;
      if (trial !== undefined) await this.#save(changeRecord(this.#record, {trial: {...trial, reboots}}));
    },
    countPutOff: () => this.#save(changeRecord(this.#record, {putOffs: this.#record.putOffs + 1})),
    note: async ({event, version, detail}) => {
      this.#ports.log([event, version, detail].filter(word => word !== undefined).join(' '));
      await this.#save(
        addEvent(this.#record, {
          kind: event,
          at: this.#now(),
          ...(version === undefined ? {} : {version}),
          ...(detail === undefined ? {} : {detail}),
        }),
      );
    },
    takeBaseline: () => this.#ports.health.takeBaseline(),
    disarm: ({release}) => this.#ports.slots.disarm(release),
    tidy: () => this.#ports.slots.tidy(),
    report: async ({phase, lock}) => {
      await this.#check(phase);
      if (lock !== undefined) await this.#ports.server.phase(lock);
    },

    checkServer: () => this.#check(this.#state.phase),
    refreshMetadata: ({version}) => this.#ports.releases.verify(version, this.#repositories()),
    stage: ({release}) =>
      this.#ports.slots.stage(release, this.#repositories(), progress => {
        this.#record = changeRecord(this.#record, {progress});
      }),
    placeUki: ({release}) => this.#ports.slots.placeUki(release),
    acquireLock: async ({from, to}) => {
      const clusters = [...(await this.#ports.drain.clusters())];
      const {expectedSeconds} = this.#options.settings;
      return this.#ports.server.acquire({from, to, expectedSeconds, clusters});
    },
    confirmLock: ({fence}) => this.#ports.server.phase({fence, phase: 'rebooting'}),
    drain: () => this.#ports.drain.drain(what => this.#waiting(what)),
    arm: ({release}) => this.#ports.slots.arm(release),
    reboot: () => this.#ports.boot.reboot(),
    proveHealth: () => this.#ports.health.prove(),
    bless: () => this.#ports.boot.bless(),
    markBadAndReboot: async ({version}) => {
      await this.#ports.boot.markBad(version);
      return this.#ports.boot.reboot();
    },
    returnToService: () => this.#ports.drain.undo(what => this.#waiting(what)),
    releaseLock: ({rebooted, fence}) =>
      this.#ports.server.release({
        version: this.#facts.own.version,
        healthy: true,
        rebooted,
        ...(fence === undefined ? {} : {fence}),
      }),
    dropStaged: ({version}) => this.#ports.slots.drop(version),
  };

  async #check(phase: MachinePhase): Promise<AgentEvent> {
    const request = checkRequest(this.#record, this.#facts, this.#options.settings, phase);
    const {event, eventsReceived, pollSeconds, repositories} = await this.#ports.server.check(request);
    if (eventsReceived !== undefined) {
      const received = dropReceived(this.#record, eventsReceived);
      const changed =
        received.events.length < this.#record.events.length || pollSeconds !== this.#record.pollSeconds;
      this.#record = changeRecord(received, {
        pollSeconds: pollSeconds ?? null,
        repositories: repositories === undefined ? null : [...repositories],
      });
      if (changed) await this.#save(this.#record);
    }
    // The operator at the machine asked: what may be staged may be applied, under the lock all the same.
    if (event.kind === 'answer-stage' && this.#options.operator?.apply) {
      return {kind: 'answer-apply', version: event.version, detail: event.detail};
    }
    return event;
  }

  #waiting(what: string): void {
    this.#record = {...this.#record, waitsFor: what};
    this.#ports.log(`waits for ${what}`);
    // Seen at once in `hawser fleet status`; whether it arrives does not matter.
    const {settings} = this.#options;
    const request = checkRequest(this.#record, this.#facts, settings, this.#state.phase);
    void this.#ports.server.check(request).catch(() => undefined);
  }

  #repositories(): readonly string[] {
    const {repositories} = this.#options.settings;
    return repositories.length > 0 ? repositories : (this.#record.repositories ?? []);
  }

  async #save(record: AgentRecord): Promise<void> {
    this.#record = record;
    if (record === this.#saved) return;
    await this.#ports.record.save(record);
    this.#saved = record;
  }

  #now(): string {
    return this.#clock.now().toISOString();
  }

  #policy(): Policy {
    const {settings, gate, operator} = this.#options;
    return {
      own: this.#facts.own,
      now: this.#now(),
      proven: this.#facts.proven,
      failed: this.#record.failed,
      onDrainTimeout: settings.onDrainTimeout,
      operator: {allowDowngrade: operator?.allowDowngrade ?? false, apply: operator?.apply ?? false},
      gate: gate ?? false,
    };
  }
}
