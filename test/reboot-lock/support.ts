/** Builders and fakes of the lock's tests. */
import type {Clock} from '../../services/common/clock.ts';
import type {ClusterFacts} from '../../services/common/contracts/lock.ts';
import type {GroupPolicy, LockPolicies, UpdateFailure} from '../../services/reboot-lock/ports.ts';
import {emptyLock, type LockState} from '../../services/reboot-lock/record.ts';
import {acquire, type Rules, type Wish} from '../../services/reboot-lock/semaphore.ts';

export const noon = new Date('2026-03-01T12:00:00Z');

export function later(seconds: number): Date {
  return new Date(noon.getTime() + seconds * 1000);
}

export const oneSlot: Rules = {slots: 1, domainRule: 'one-at-a-time', allowQuorumLoss: false};

export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

export function wish(machine: string, over: Partial<Wish> = {}): Wish {
  return {
    machine,
    name: `name-of-${machine}`,
    from: '1.0.0',
    to: '2.0.0',
    clusters: [],
    expectedSeconds: 600,
    via: 'agent',
    ...over,
  };
}

export function etcdCluster(members: number, healthy: number, cluster = 'main'): ClusterFacts {
  return {kind: 'etcd', cluster, members, healthy};
}

/** A group in which these machines hold slots, each with a fence of its own. */
export function heldBy(...machines: readonly (string | Wish)[]): LockState {
  let state = emptyLock('web');
  for (const [index, machine] of machines.entries()) {
    const {clusters, ...ask} = typeof machine === 'string' ? wish(machine) : machine;
    const rules = {...oneSlot, slots: 1000, domainRule: 'one-per-domain'} as const;
    const result = acquire(state, {...ask, clusters: []}, rules, [], noon);
    if (result.kind === 'refused') throw new Error(result.refusal.message);
    const {machine: taker} = result.holder;
    const holders = result.next.holders.map(holder =>
      holder.machine === taker ? {...holder, clusters: [...clusters], fence: String(100 + index)} : holder,
    );
    state = {...result.next, holders};
  }
  return state;
}

export interface TestClock extends Clock {
  time: Date;
}

/** Stands still unless it is set; sleeping takes no time. */
export function createTestClock(): TestClock {
  return {
    time: noon,
    now() {
      return this.time;
    },
    sleep: () => new Promise(resolve => setImmediate(resolve)),
  };
}

export const webPolicy: GroupPolicy = {group: 'web', slots: 1, machines: 10, allowQuorumLoss: false};

/** All machines belong to the first group. */
export function policiesOf(...groups: readonly GroupPolicy[]): LockPolicies {
  return {
    ofMachine: () => Promise.resolve(groups[0]),
    ofGroup: name => Promise.resolve(groups.find(({group}) => group === name)),
  };
}

export interface TestEvents {
  readonly failures: UpdateFailure[];
  updateFailed(failure: UpdateFailure): Promise<void>;
}

export function createEvents(): TestEvents {
  const failures: UpdateFailure[] = [];
  return {
    failures,
    updateFailed: failure => {
      failures.push(failure);
      return Promise.resolve();
    },
  };
}
