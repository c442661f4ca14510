/** Follows the server: announces this host, takes what it tells, tells what is here; goes on for ever. */
import type {Clock} from '../common/clock.ts';
import type {Endpoint} from '../common/contracts/overlay.ts';
import {OverlayError} from './errors.ts';
import {unclaimed, type Self} from './desired.ts';
import {idleSince, toGiveBack} from './idle-blocks.ts';
import type {Memory} from './memory.ts';
import type {FaultBoard} from './faults.ts';
import type {AgentLog, ServerPort} from './ports.ts';
import type {FollowedState} from './state.ts';

const MIN_WAIT_MS = 200;
const MAX_WAIT_MS = 5000;

export interface FollowDeps {
  readonly memory: Memory;
  readonly server: ServerPort;
  readonly self: () => Self;
  readonly boot: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: AgentLog;
  readonly connected: (connected: boolean) => void;
  readonly faults: FaultBoard;
  /** How long a block is kept without a container in it; absent for the usual time. */
  readonly idleMs?: number;
  /** Told with every announcement: why the server refuses this host, or that it does not. */
  readonly refused: (refusal: OverlayError | undefined) => void;
}

/** The stream of the server, opened again whenever it ends. */
export async function followServer(deps: FollowDeps, signal: AbortSignal): Promise<void> {
  const {memory, server, clock, random, log} = deps;
  let wait = MIN_WAIT_MS;
  let complained = false;
  let saying: Promise<void> | undefined;
  while (!signal.aborted) {
    try {
      await server.watch(line => {
        if (complained) log.info({}, 'the server answers again');
        [wait, complained] = [MIN_WAIT_MS, false];
        memory.take(line);
        deps.connected(true);
        if (memory.lost() !== undefined)
          saying ??= assertAgain(deps, signal).finally(() => (saying = undefined));
      }, signal);
    } catch (error) {
      deps.connected(false);
      if (signal.aborted) return;
      if (!complained) log.warn({err: error}, 'the server does not answer; what is known counts on');
      complained = true;
    }
    await clock.sleep(wait * (0.5 + random()), signal).catch(() => undefined);
    wait = Math.min(MAX_WAIT_MS, wait * 2);
  }
}

/** Here I am, every now and then; resolves when the signal fires. */
export async function keepAnnouncing(deps: FollowDeps, signal: AbortSignal): Promise<void> {
  const {server, self, boot, clock, random, log, faults} = deps;
  let said = '';
  while (!signal.aborted) {
    let seconds = 2;
    const changed = faults.changed();
    try {
      const {address, mtu} = self();
      ({renewSeconds: seconds} = await server.announce({address, mtu, boot, faults: faults.all()}));
      deps.refused(undefined);
      said = '';
    } catch (error) {
      if (error instanceof OverlayError && error.code === 'refused') {
        deps.refused(error);
        if (said !== error.message)
          log.error({err: error}, 'the server refuses this host: it hands nothing out');
        said = error.message;
      }
    }
    const early = new AbortController();
    void changed.then(() => early.abort());
    const until = AbortSignal.any([signal, early.signal]);
    await clock.sleep(seconds * 1000 * (0.75 + random() / 4), until).catch(() => undefined);
  }
}

/** The store was lost: this host says again what it has, until the server has taken it. */
async function assertAgain(deps: FollowDeps, signal: AbortSignal): Promise<void> {
  const {memory, server, self, boot, clock, log} = deps;
  const {machine, address, mtu} = self();
  let told: FollowedState | undefined;
  for (let lost = memory.lost(); lost !== undefined && !signal.aborted; lost = memory.lost()) {
    if (lost !== told)
      log.error({epoch: lost.epoch}, 'the store was lost or set back: this host says again what it has');
    told = lost;
    try {
      await server.announce({address, mtu, boot});
      for (const {subnet, gateway, reserved, name, labels, internal, vni} of lost.networks.values()) {
        await taken(log, async () => {
          const network = await server.createNetwork({
            subnet,
            gateway,
            reserved,
            labels,
            internal,
            vni,
            ...(name === undefined ? {} : {name}),
          });
          memory.learn({network});
        });
      }
      for (const lease of lost.leases.values()) {
        if (lease.machine !== machine || lease.released !== undefined) continue;
        await taken(log, async () =>
          memory.learn({lease: await server.claim({network: lease.network, block: lease.block})}),
        );
      }
      memory.said(lost);
    } catch (error) {
      log.warn({err: error}, 'not all could be said again yet');
      await clock.sleep(1000, signal).catch(() => undefined);
    }
  }
}

/** What the server refuses is refused for good, and told. */
async function taken(log: AgentLog, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof OverlayError && error.code === 'refused')) throw error;
    log.error({err: error}, 'the server does not take back what was agreed before');
  }
}

/** Publishes what is here of each network, where it differs from what the server knows. */
export async function publishEndpoints({memory, server, self}: FollowDeps): Promise<void> {
  const {machine} = self();
  const [state, record] = [memory.state(), memory.record()];
  for (const network of state.networks.keys()) {
    const here: Endpoint[] = record.allocations
      .filter(each => each.network === network && each.endpoint !== undefined)
      .map(({address, names = []}) => ({address, names: [...names]}));
    const told = state.endpoints.get(`${network}/${machine}`)?.endpoints ?? [];
    if (textOf(here) !== textOf(told)) await server.endpoints({network, endpoints: here});
  }
}

/**
 * Claims addresses that were handed out here and are in nobody's block: somebody took the keys away in etcd. What
 * somebody else got meanwhile is refused, and told (reconcile.ts cuts it off).
 */
export async function claimAgain({memory, server, log}: FollowDeps): Promise<void> {
  if (memory.settling()) return;
  for (const {network, address} of unclaimed(memory.state(), memory.record()))
    await taken(log, async () => {
      memory.learn({lease: await server.claim({network, address})});
      log.warn({network, address}, 'an address in use here was in no block: it is claimed again');
    });
}

/** Gives back what this host has not needed for a while; `idle` is what {@link idleSince} said before. */
export async function giveBack(
  {memory, server, self, clock, log, idleMs}: FollowDeps,
  idle: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const {machine} = self();
  const now = clock.now().getTime();
  const since = idleSince(idle, memory.state(), memory.record(), machine, now);
  if (memory.settling()) return since;
  for (const {network, block} of toGiveBack(since, memory.state(), memory.record(), machine, now, idleMs)) {
    const lease = memory.state().leases.get(`${network}/${block.replace('/', '-')}`);
    // From here on nothing of it is handed out, whatever the server answers.
    memory.forget({network, block});
    try {
      await server.release(network, block);
      log.info({network, block}, 'a block was not needed and is given back');
    } catch (error) {
      if (lease !== undefined) memory.learn({lease});
      throw error;
    }
  }
  return since;
}

function textOf(endpoints: readonly Endpoint[]): string {
  return endpoints
    .map(({address, names}) => `${address} ${names.join(' ')}`)
    .toSorted((one, other) => (one < other ? -1 : 1))
    .join('\n');
}
