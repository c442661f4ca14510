/**
 * Writes what machines report: many reports in one transaction, each by compare-and-swap, and nothing at all for a
 * poll that says what is known. A report is answered only when it is durable.
 */
import type {Clock} from '../common/clock.ts';
import type {CheckRequest} from '../common/contracts/fleet.ts';
import type {MachineRecord, StoredEvent} from '../common/contracts/policy.ts';
import {encode} from './codec.ts';
import {ServerError, unknownMachine} from './errors.ts';
import type {Fleet} from './fleet.ts';
import {eventKey, keyOf} from './keys.ts';
import {MAX_WRITES, type Store, type Write} from './ports.ts';
import {MAX_EVENTS, mergeReport, type Merged} from './report.ts';

/** Transactions under way at a time: etcd syncs several with one fsync. */
const PARALLEL = 4;
/** How often a lost race for one machine's value is run again. */
const ATTEMPTS = 8;

type Build = (before: MachineRecord | undefined, now: string) => Merged;

interface Job {
  readonly uuid: string;
  readonly build: Build;
  readonly settled: PromiseWithResolvers<MachineRecord>;
}

interface Plan {
  readonly job: Job;
  readonly merged: Merged;
  readonly writes: readonly Write[];
}

export interface ReportWriter {
  /** Resolves when the report is durable, with the record as it now is. Throws `store-unavailable` or `conflict`. */
  submit(
    machine: {readonly uuid: string; readonly name: string},
    request: CheckRequest,
  ): Promise<MachineRecord>;
  /** Changes a machine's record in another way. */
  change(uuid: string, change: (record: MachineRecord, now: string) => MachineRecord): Promise<void>;
}

export function createReportWriter(
  store: Store,
  fleet: Fleet,
  clock: Clock,
  touched: (groups: Iterable<string>) => void,
): ReportWriter {
  const queue: Job[] = [];
  const busy = new Set<string>();
  let running = 0;
  let scheduled = false;

  const schedule = (): void => {
    if (scheduled || queue.length === 0 || running >= PARALLEL) return;
    scheduled = true;
    // Everything that arrived in this turn of the event loop goes into one transaction.
    setImmediate(() => {
      scheduled = false;
      const plans = take();
      if (plans.length === 0) return;
      running += 1;
      void write(plans).finally(() => {
        running -= 1;
        for (const {job} of plans) busy.delete(job.uuid);
        schedule();
      });
      schedule();
    });
  };

  const plan = (job: Job): Plan => {
    fleet.checkReadable('machines', job.uuid);
    const merged = job.build(fleet.machines.get(job.uuid)?.record, clock.now().toISOString());
    return {job, merged, writes: writesOf(merged, fleet.revisionOf('machines', job.uuid))};
  };

  /** Jobs for as many machines as fit into a transaction; one machine is never in two at a time. */
  const take = (): Plan[] => {
    const plans: Plan[] = [];
    let room = MAX_WRITES;
    for (let index = 0; index < queue.length && room > 0;) {
      const job = queue[index];
      if (job === undefined || busy.has(job.uuid)) {
        index += 1;
        continue;
      }
      let planned: Plan;
      try {
        planned = plan(job);
      } catch (error) {
        queue.splice(index, 1);
        job.settled.reject(error);
        continue;
      }
      if (planned.writes.length > room) break;
      queue.splice(index, 1);
      if (!planned.merged.changed) {
        job.settled.resolve(planned.merged.record);
        continue;
      }
      room -= planned.writes.length;
      busy.add(job.uuid);
      plans.push(planned);
    }
    return plans;
  };

  const write = async (plans: readonly Plan[]): Promise<void> => {
    try {
      const revision = await store.commit(plans.flatMap(({writes}) => writes));
      if (revision !== undefined) {
        for (const each of plans) accept(each, revision);
        return;
      }
    } catch (error) {
      for (const {job} of plans) job.settled.reject(error);
      return;
    }
    // Another server knows one of these machines better: each by itself, from what the store says.
    for (const {job} of plans) await alone(job);
  };

  const alone = async (job: Job): Promise<void> => {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const key = keyOf('machines', job.uuid);
        const entry = await store.get(key);
        if (entry !== undefined) touched(fleet.apply(entry));
        const planned = plan(job);
        const revision = await store.commit(planned.writes);
        if (revision !== undefined) return accept(planned, revision);
      }
      throw new ServerError('conflict', 'the record of this machine is being changed by others', {
        remedy: 'try again',
      });
    } catch (error) {
      job.settled.reject(error);
    }
  };

  const accept = ({job, merged}: Plan, revision: bigint): void => {
    touched(fleet.apply({key: keyOf('machines', job.uuid), value: encode(merged.record), revision}));
    job.settled.resolve(merged.record);
  };

  const enqueue = (uuid: string, build: Build): Promise<MachineRecord> => {
    const job = {uuid, build, settled: Promise.withResolvers<MachineRecord>()};
    queue.push(job);
    schedule();
    return job.settled.promise;
  };

  return {
    submit: (machine, request) =>
      enqueue(machine.uuid, (before, now) => mergeReport(before, machine, request, now)),
    change: async (uuid, change) => {
      await enqueue(uuid, (before, now) => {
        if (before === undefined) throw unknownMachine(uuid);
        const record = change(before, now);
        return {record, events: [], changed: record !== before};
      });
    },
  };
}

function writesOf({record, events}: Merged, revision: bigint): readonly Write[] {
  const {uuid, lastSeen, eventsReceived} = record;
  const stored = events.map((event): Write => {
    const value: StoredEvent = {...event, receivedAt: lastSeen};
    return {key: eventKey(uuid, event.sequence), value: encode(value)};
  });
  const oldest = eventsReceived - MAX_EVENTS + 1;
  const trim: readonly Write[] =
    events.length > 0 && oldest > 1
      ? [{key: eventKey(uuid, 0), until: eventKey(uuid, oldest), delete: true}]
      : [];
  return [{key: keyOf('machines', uuid), value: encode(record), expect: revision}, ...stored, ...trim];
}
