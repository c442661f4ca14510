/** Brings the kernel in line: on every change, whenever something changed there, and every 30 s. */
import type {Clock} from '../common/clock.ts';
import {describeError} from '../common/errors.ts';
import {desiredFirewall, desiredNetworks, lostAddresses, orphans, type Self} from './desired.ts';
import type {FaultBoard} from './faults.ts';
import type {Memory} from './memory.ts';
import {plan, type Plan} from './plan.ts';
import type {AgentLog, Dataplane} from './ports.ts';

/** Many changes that come together are one. */
const GATHER_MS = 20;
const EVERY_MS = 30_000;
/** After a failure. */
const RETRY_MS = 1000;
/** Rounds in a row that find something to do, after which only the next event or the clock begins another. */
const MAX_ROUNDS = 5;

export interface Reconciler {
  /** Something changed, here or there. */
  kick(): void;
  /** Resolves when a round that began after the call has ended. */
  now(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

export interface ReconcileDeps {
  readonly memory: Memory;
  readonly dataplane: Dataplane;
  readonly self: () => Self;
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly faults: FaultBoard;
  readonly done: (round: {readonly plan: Plan; readonly seconds: number; readonly failures: number}) => void;
}

export function createReconciler(deps: ReconcileDeps): Reconciler {
  let wake = (): void => undefined;
  let dirty = true;
  let waiting: (() => void)[] = [];
  let [quarantined, orphaned] = ['', ''];

  const round = async (): Promise<boolean> => {
    const {memory, dataplane, self, log} = deps;
    const began = performance.now();
    const [state, record] = [memory.state(), memory.record()];
    const lost = lostAddresses(state, record, self().machine).join(' ');
    if (lost !== '' && lost !== quarantined)
      log.error(
        {addresses: lost},
        'addresses of containers here belong to another machine by now: they are cut off',
      );
    quarantined = lost;
    const removed = [...orphans(state, record)].map(
      ([network, count]) =>
        `network ${network.replace('-', '/')} was removed while ${count} containers here are on it: they are cut off`,
    );
    if (removed.length > 0 && removed.join('\n') !== orphaned)
      log.error({removed}, 'networks in use were removed');
    orphaned = removed.join('\n');
    deps.faults.set('removed', removed);
    const actual = await dataplane.read();
    const planned = plan(desiredNetworks(state, record, self()), actual, desiredFirewall(state, self()));
    deps.faults.set(
      'firewall',
      actual.firewall === 'unavailable' ? ['nft is not installed: tunnels are taken from any host'] : [],
    );
    const failures = planned.steps.length === 0 ? [] : await dataplane.apply(planned.steps);
    if (failures.length > 0)
      log.warn({failures: failures.slice(0, 5), count: failures.length}, 'the kernel refused');
    deps.faults.set(
      'addresses',
      lost === ''
        ? []
        : [`addresses ${lost} belong to another machine by now: restart the containers that have them`],
    );
    deps.faults.set(
      'kernel',
      failures.slice(0, 4).map(failure => `the kernel refuses: ${failure}`),
    );
    deps.done({plan: planned, seconds: (performance.now() - began) / 1000, failures: failures.length});
    return planned.steps.length > 0;
  };

  const kick = (): void => {
    dirty = true;
    wake();
  };
  return {
    kick,
    now: () =>
      new Promise(resolve => {
        waiting.push(resolve);
        kick();
      }),
    run: async signal => {
      const {clock, memory, log} = deps;
      let rounds = 0;
      while (!signal.aborted) {
        if (!dirty) await interruptible(EVERY_MS, signal);
        if (signal.aborted) break;
        if (rounds > 0 || waiting.length === 0) await clock.sleep(GATHER_MS, signal).catch(() => undefined);
        dirty = false;
        const asked = waiting;
        waiting = [];
        try {
          // Nothing is known yet: nothing may be removed.
          const changed = memory.known() && (await round());
          rounds = changed ? rounds + 1 : 0;
          if (changed && rounds < MAX_ROUNDS) dirty = true;
        } catch (error) {
          log.error({err: error}, 'the kernel could not be brought in line');
          deps.faults.set('kernel', [`the kernel could not be brought in line: ${describeError(error)}`]);
          await interruptible(RETRY_MS, signal);
          dirty = true;
        }
        for (const done of asked) done();
      }
      for (const done of waiting) done();
    },
  };

  async function interruptible(ms: number, signal: AbortSignal): Promise<void> {
    const both = new AbortController();
    wake = () => both.abort();
    if (!dirty || ms === RETRY_MS)
      await deps.clock.sleep(ms, AbortSignal.any([signal, both.signal])).catch(() => undefined);
    wake = () => undefined;
  }
}
