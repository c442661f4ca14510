/** The update server over HTTP, as a fastify plugin. Who calls is established by whoever composes it. */
import type {FastifyInstance, FastifyPluginAsync, FastifyRequest} from 'fastify';
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {Registry} from 'prom-client';
import {roleCovers, type Caller, type Operator, type OperatorRole} from '../common/contracts/caller.ts';
import {refusalOf} from './answers.ts';
import {ServerError} from './errors.ts';
import {createMetrics} from './metrics.ts';
import {channelRoutes} from './routes/channels.ts';
import {checkRoute} from './routes/check.ts';
import {fleetRoutes} from './routes/fleet.ts';
import {groupRoutes} from './routes/groups.ts';
import {releaseRoutes} from './routes/releases.ts';
import {rolloutRoutes} from './routes/rollouts.ts';
import {tokenRoutes} from './routes/tokens.ts';
import type {MachineCaller, UpdateService} from './service.ts';

export interface UpdateServerOptions {
  readonly service: UpdateService;
  readonly callerOf: (request: FastifyRequest) => Caller;
  readonly metrics?: Registry;
}

/** What the routes share. */
export interface RouteTools {
  readonly service: UpdateService;
  readonly count: ReturnType<typeof createMetrics>;
  /** The operator, who has at least this role. Throws `unauthenticated` or `forbidden`. */
  readonly operator: (request: FastifyRequest, needed: OperatorRole) => Operator;
  readonly machine: (request: FastifyRequest) => MachineCaller;
  readonly caller: (request: FastifyRequest) => Caller;
}

export type Routes = (app: ReturnType<typeof typed>, tools: RouteTools) => void;

function typed(app: FastifyInstance) {
  return app.withTypeProvider<TypeBoxTypeProvider>();
}

/** `/v1/check` for machines, and the operators' routes below `/v1/`. */
export const updateServer: FastifyPluginAsync<UpdateServerOptions> = async (app, options) => {
  const {service, callerOf} = options;
  const count = createMetrics(options.metrics, service);
  const tools: RouteTools = {
    service,
    count,
    caller: callerOf,
    operator: (request, needed) => operatorOf(callerOf(request), needed),
    machine: request => {
      const caller = callerOf(request);
      if (caller.kind === 'machine') return caller;
      throw caller.kind === 'anonymous' ? unauthenticated() : forbidden('only machines report themselves');
    },
  };
  app.setErrorHandler((error, request, reply) => {
    const {status, kind, message} = refusalOf(error);
    count.refused(kind);
    if (status >= 500) request.log.error({err: error, kind}, 'request failed');
    else request.log.info({kind, method: request.method, url: request.url, why: message}, 'request refused');
    return reply.code(status).send({kind, message});
  });
  for (const routes of [
    checkRoute,
    fleetRoutes,
    channelRoutes,
    groupRoutes,
    releaseRoutes,
    rolloutRoutes,
    tokenRoutes,
  ] satisfies readonly Routes[])
    routes(typed(app), tools);
};

function operatorOf(caller: Caller, needed: OperatorRole): Operator {
  if (caller.kind === 'anonymous') throw unauthenticated();
  if (caller.kind === 'machine') throw forbidden('a machine can act for itself only');
  if (roleCovers(caller.role, needed)) return caller;
  throw forbidden(`this needs the role ${needed}, and ${caller.name} is ${caller.role}`);
}

function unauthenticated(): ServerError {
  return new ServerError('unauthenticated', 'nobody known makes this request', {
    remedy: 'operators: hawser login; machines: their certificate of this fleet',
  });
}

function forbidden(why: string): ServerError {
  return new ServerError('forbidden', why);
}
