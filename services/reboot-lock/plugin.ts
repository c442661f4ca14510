/**
 * The lock over HTTP, as a fastify plugin: the server that composes it says who calls, how groups are treated, and
 * where failures go.
 */
import type {FastifyInstance, FastifyPluginAsync, FastifyRequest} from 'fastify';
import type {Registry} from 'prom-client';
import type {Clock} from '../common/clock.ts';
import type {Caller} from '../common/contracts/caller.ts';
import {replyFor} from './answers.ts';
import {fleetLockRoutes} from './fleet-lock.ts';
import {machineRoutes} from './machine-routes.ts';
import {createLockMetrics, type LockMetrics, type Observation} from './metrics.ts';
import {operatorRoutes} from './operator-routes.ts';
import type {LockEvents, LockPolicies, LockStore, MachineLayer} from './ports.ts';
import {createGroupQueue} from './queue.ts';
import {rulesOf, type LockDeps} from './service.ts';
import {createWaitingRoom} from './waiting-room.ts';
import {watchLocks, type WatchDeps} from './watch.ts';

export interface RebootLockOptions {
  readonly store: LockStore;
  readonly policies: LockPolicies;
  readonly events: LockEvents;
  readonly clock: Clock;
  /** From 0 to 1: jitter between attempts. */
  readonly random: () => number;
  callerOf(request: FastifyRequest): Caller | Promise<Caller>;
  readonly metrics?: Registry;
  /** Given: holders that do not come back are looked after as long as the server runs (watch.ts). */
  readonly machines?: MachineLayer;
}

/** What the routes share. */
export interface RouteTools {
  readonly deps: LockDeps;
  readonly metrics: LockMetrics | undefined;
  callerOf(request: FastifyRequest): Caller | Promise<Caller>;
}

/** `/v1/lock/*`, `/v1/locks*`, `/v1/pre-reboot` and `/v1/steady-state`. */
export const rebootLock: FastifyPluginAsync<RebootLockOptions> = async (app, options) => {
  const {store, policies, events, clock} = options;
  const metrics =
    options.metrics === undefined ? undefined : createLockMetrics(options.metrics, () => observe(options));
  const queue = createGroupQueue(store, clock, options.random);
  const tools: RouteTools = {
    deps: {store, queue, room: createWaitingRoom(), policies, events, clock},
    metrics,
    callerOf: request => options.callerOf(request),
  };
  await app.register(async inner => withAnswers(inner, tools, machineRoutes));
  await app.register(async inner => withAnswers(inner, tools, operatorRoutes));
  await app.register(async inner => fleetLockRoutes(inner, tools));
  if (options.machines !== undefined) watch(app, {...tools.deps, machines: options.machines, log: app.log});
};

/** From the server's start to its end, which waits for a round under way. */
function watch(app: FastifyInstance, deps: WatchDeps): void {
  const stop = new AbortController();
  let watching: Promise<void> = Promise.resolve();
  app.addHook('onReady', done => {
    watching = watchLocks(deps, stop.signal);
    done();
  });
  app.addHook('onClose', async () => {
    stop.abort();
    await watching;
  });
}

function withAnswers(
  app: FastifyInstance,
  tools: RouteTools,
  routes: (app: FastifyInstance, tools: RouteTools) => void,
): void {
  app.setErrorHandler((error, request, reply) => {
    const {status, kind, message} = replyFor(error);
    tools.metrics?.fault(kind);
    if (status >= 500) request.log.error({err: error, kind}, 'lock request failed');
    else request.log.info({kind, url: request.url, why: message}, 'lock request refused');
    return reply.code(status).send({kind, message});
  });
  routes(app, tools);
}

/** All groups that ever had a holder, with their policies. */
async function observe({store, policies, clock}: RebootLockOptions): Promise<Observation> {
  const snapshot = await store.read();
  const known = new Map<string, {slots: number; halted: string | undefined}>();
  for (const group of snapshot.groups.keys()) {
    const policy = await policies.ofGroup(group);
    if (policy !== undefined) known.set(group, {slots: rulesOf(policy).slots, halted: policy.halted});
  }
  return {snapshot, policies: known, now: clock.now()};
}
