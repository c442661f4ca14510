/** What Prometheus is told about the lock. The gauges are read from the store when Prometheus asks. */
import {Counter, Gauge, type Registry} from 'prom-client';
import type {LockSnapshot} from './ports.ts';
import {haltReason, isOverdue} from './semaphore.ts';

export interface LockMetrics {
  granted(group: string): void;
  refused(group: string, kind: string): void;
  fault(kind: string): void;
  released(group: string, outcome: string): void;
}

/** The groups, and how many slots each has, as far as that is known. */
export interface Observation {
  readonly now: Date;
  readonly snapshot: LockSnapshot;
  readonly policies: ReadonlyMap<string, {readonly slots: number; readonly halted?: string | undefined}>;
}

/** `observe` may throw: `hawser_lock_store_up` is 0 then and the other gauges are absent. */
export function createLockMetrics(registry: Registry, observe: () => Promise<Observation>): LockMetrics {
  const registers = [registry];
  let running: Promise<void> | undefined;
  // One look at the store for all gauges of one scrape.
  const collect = () => {
    running ??= refresh().finally(() => {
      running = undefined;
    });
    return running;
  };
  const gauge = (name: string, help: string) =>
    new Gauge({name: `hawser_lock_${name}`, help, labelNames: ['group'], registers, collect});
  const holders = gauge('holders', 'Slots held');
  const slots = gauge('slots', 'Slots there are');
  const age = gauge('oldest_holder_seconds', 'Age of the slot that is held longest');
  const overdue = gauge(
    'overdue_holders',
    'Holders whose deadline passed; the group stands still, alert on this',
  );
  const halted = gauge('halted', '1 while nobody of the group gets a slot');
  const unreadable = gauge('unreadable', '1 when the stored value of the group cannot be read');
  const up = new Gauge({
    name: 'hawser_lock_store_up',
    help: '1 when the store could be read',
    registers,
    collect,
  });

  async function refresh(): Promise<void> {
    for (const each of [holders, slots, age, overdue, halted, unreadable]) each.reset();
    try {
      show(await observe());
      up.set(1);
    } catch {
      up.set(0);
    }
  }

  function show({snapshot, policies, now}: Observation): void {
    for (const [group, {slots: count}] of policies) slots.set({group}, count);
    for (const [group, entry] of snapshot.groups) {
      unreadable.set({group}, entry.kind === 'unreadable' ? 1 : 0);
      if (entry.kind === 'unreadable') continue;
      const {state} = entry;
      const since = Math.min(now.getTime(), ...state.holders.map(holder => Date.parse(holder.since)));
      holders.set({group}, state.holders.length);
      age.set({group}, (now.getTime() - since) / 1000);
      overdue.set({group}, state.holders.filter(holder => isOverdue(holder, now)).length);
      halted.set({group}, haltReason(state, policies.get(group)?.halted, now) === undefined ? 0 : 1);
    }
  }

  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({name: `hawser_lock_${name}_total`, help, labelNames, registers});
  const granted = counter('grants', 'Answers that grant a slot, also to one who holds it already', ['group']);
  const refused = counter('refusals', 'Machines told to wait', ['group', 'kind']);
  const faults = counter('errors', 'Requests that were refused as wrong or could not be judged', ['kind']);
  const released = counter('releases', 'Slots given back', ['group', 'outcome']);
  return {
    granted: group => granted.inc({group}),
    refused: (group, kind) => refused.inc({group, kind}),
    fault: kind => faults.inc({kind}),
    released: (group, outcome) => released.inc({group, outcome}),
  };
}
