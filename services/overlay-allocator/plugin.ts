/** The overlay's allocator over HTTP, as a fastify plugin: the server that composes it says who calls. */
import {randomUUID} from 'node:crypto';
import type {FastifyInstance, FastifyPluginAsync, FastifyRequest} from 'fastify';
import type {Registry} from 'prom-client';
import type {Clock} from '../common/clock.ts';
import type {Caller} from '../common/contracts/caller.ts';
import {replyFor} from './answers.ts';
import {follow, type Following} from './follow.ts';
import {createHub, type Hub} from './hub.ts';
import {epochKey} from './keys.ts';
import {machineRoutes} from './machine-routes.ts';
import {createAllocatorMetrics} from './metrics.ts';
import {operatorRoutes} from './operator-routes.ts';
import type {OverlayStore} from './ports.ts';
import {createQueue, type WishQueue} from './queue.ts';

export interface OverlayOptions {
  readonly store: OverlayStore;
  readonly clock: Clock;
  /** From 0 to 1: jitter between attempts. */
  readonly random: () => number;
  callerOf(request: FastifyRequest): Caller | Promise<Caller>;
  readonly metrics?: Registry;
}

/** What the routes share. */
export interface RouteTools {
  readonly queue: WishQueue;
  readonly following: Following;
  readonly hub: Hub;
  callerOf(request: FastifyRequest): Caller | Promise<Caller>;
}

/** Well below the time after which the server, and hosts, take a silent connection for dead. */
const ALIVE_MS = 10_000;

/** `/v1/overlay/*`. */
export const overlayAllocator: FastifyPluginAsync<OverlayOptions> = async (app, options) => {
  const {store, clock, random} = options;
  const hub = createHub();
  const following = follow(
    store,
    {
      reset: view => {
        if (view.epoch === '') nameEpoch(app, store);
        else hub.reset(view);
      },
      changed: (view, items) => hub.changed(view, items),
      failed: error => app.log.error({err: error}, 'overlay: the store cannot be followed'),
    },
    clock,
  );
  const queue = createQueue({
    store,
    current: () => following.current(),
    reached: revision => following.reached(revision),
    clock,
    random,
  });
  const tools: RouteTools = {queue, following, hub, callerOf: request => options.callerOf(request)};
  if (options.metrics !== undefined) createAllocatorMetrics(options.metrics, following, hub, clock);
  const timer = setInterval(() => hub.alive(), ALIVE_MS);
  app.addHook('preClose', done => {
    clearInterval(timer);
    following.stop();
    hub.close();
    done();
  });
  await app.register(async inner => withAnswers(inner, tools, machineRoutes));
  await app.register(async inner => withAnswers(inner, tools, operatorRoutes));
};

/** The first server to find a store without an epoch names it. */
function nameEpoch(app: FastifyInstance, store: OverlayStore): void {
  store
    .commit([{key: epochKey, value: randomUUID()}], [{key: epochKey, revision: 0n}])
    .catch((error: unknown) => app.log.error({err: error}, 'overlay: the store has no epoch yet'));
}

function withAnswers(
  app: FastifyInstance,
  tools: RouteTools,
  routes: (app: FastifyInstance, tools: RouteTools) => void,
): void {
  app.setErrorHandler((error, request, reply) => {
    const {status, kind, message} = replyFor(error);
    if (status >= 500) request.log.error({err: error, kind}, 'overlay request failed');
    else request.log.info({kind, message}, 'overlay request refused');
    return reply.code(status).send({kind, message});
  });
  routes(app, tools);
}
