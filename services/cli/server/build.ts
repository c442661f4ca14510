/** The whole of `hawser server` as one fastify instance: update server, reboot lock, enrolment, repository, figures. */
import {mkdir} from 'node:fs/promises';
import fastifyStatic from '@fastify/static';
import fastifySwagger from '@fastify/swagger';
import type {Etcd3} from 'etcd3';
import fastify, {LogController, type FastifyInstance, type FastifyRequest} from 'fastify';
import {Registry, collectDefaultMetrics} from 'prom-client';
import type {Clock} from '../../common/clock.ts';
import type {Caller} from '../../common/contracts/caller.ts';
import {enrolmentRoutes} from '../../provisioner/enrolment/app.ts';
import type {EnrolDeps} from '../../provisioner/enrolment/enrol.ts';
import {createEtcdStore as createOverlayStore} from '../../overlay-allocator/adapters/etcd-store.ts';
import {overlayAllocator} from '../../overlay-allocator/plugin.ts';
import {createEtcdStore as createLockStore} from '../../reboot-lock/adapters/etcd-store.ts';
import {listLocks} from '../../reboot-lock/listing.ts';
import {rebootLock} from '../../reboot-lock/plugin.ts';
import type {MachineLayer} from '../../reboot-lock/ports.ts';
import {createEtcdStore} from '../../update-server/adapters/etcd-store.ts';
import {callerOf} from '../../update-server/callers.ts';
import {updateServer} from '../../update-server/plugin.ts';
import {UpdateService} from '../../update-server/service.ts';
import {holdersOf, lockPolicies} from './lock-policies.ts';

export interface ServerParts {
  /** Stays the caller's to close. */
  readonly etcd: Etcd3;
  readonly clock: Clock;
  readonly version: string;
  readonly repository: string;
  readonly repositories: readonly string[];
  readonly enrolment: EnrolDeps;
  /** PEM. Absent only in tests: then nobody is known by a certificate. */
  readonly tls?: {readonly key: string; readonly certificate: string; readonly fleetCa: string};
  readonly logLevel: string;
  /** Asked about holders of the lock that do not come back. */
  readonly machines?: MachineLayer;
}

export interface BuiltServer {
  readonly app: FastifyInstance;
  readonly service: UpdateService;
}

const BODY_LIMIT = 1024 * 1024;

/** Builds the server over etcd without listening. Throws `store-unavailable`. */
export async function buildServer(parts: ServerParts): Promise<BuiltServer> {
  const {etcd, clock, repositories} = parts;
  const app = newApp(parts);
  const locks = createLockStore(etcd);
  const service = await UpdateService.open({
    store: createEtcdStore(etcd),
    clock,
    ...(repositories.length === 0 ? {} : {repositories}),
    locks: async () =>
      holdersOf((await listLocks({store: locks, policies: lockPolicies(service), clock})).groups),
    failed: error => app.log.error({err: error}, 'update server'),
  });
  await service.seed();
  const known = (request: FastifyRequest): Caller => {
    const caller = callerOf(request, service.fleet);
    if (caller.kind === 'machine') service.checkKnown(caller);
    return caller;
  };
  const metrics = new Registry();
  collectDefaultMetrics({register: metrics});
  await describeApi(app, parts.version);
  app.setNotFoundHandler((request, reply) => {
    request.log.info({kind: 'not-found', method: request.method, url: request.url}, 'request refused');
    return reply.code(404).send({kind: 'not-found', message: 'no such page'});
  });
  await app.register(enrolmentRoutes, {deps: parts.enrolment});
  await app.register(updateServer, {service, callerOf: request => callerOf(request, service.fleet), metrics});
  await app.register(rebootLock, {
    store: locks,
    policies: lockPolicies(service),
    events: {
      updateFailed: failure =>
        service.recordFailure(failure.machine, {
          version: failure.to,
          reason: `came back on ${failure.runs} from its update to ${failure.to}`,
        }),
    },
    clock,
    random: Math.random,
    callerOf: known,
    metrics,
    ...(parts.machines === undefined ? {} : {machines: parts.machines}),
  });
  await app.register(overlayAllocator, {
    store: createOverlayStore(etcd),
    clock,
    random: Math.random,
    callerOf: known,
    metrics,
  });
  await serveRepository(app, parts.repository);
  app.get('/metrics', {schema: {hide: true}}, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
  app.get('/healthz', {schema: {hide: true}}, () => {
    service.checkFresh();
    return {status: 'ok'};
  });
  app.get('/openapi.json', {schema: {hide: true}}, () => {
    const document = app.swagger();
    const components = 'components' in document ? document.components : {};
    return {...document, components: {...components, securitySchemes}};
  });
  app.addHook('onClose', () => service.close());
  return {app, service};
}

function newApp({tls, logLevel}: ServerParts): FastifyInstance {
  const settings = {
    bodyLimit: BODY_LIMIT,
    logger: {level: logLevel},
    logController: new LogController({disableRequestLogging: true}),
    requestTimeout: 30_000,
    connectionTimeout: 60_000,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    // Strict: a field of the wrong type is refused rather than turned into the right one.
    ajv: {customOptions: {coerceTypes: false, removeAdditional: false}},
  } as const;
  if (tls === undefined) return fastify(settings);
  return fastify({
    ...settings,
    https: {
      key: tls.key,
      cert: tls.certificate,
      // Client certificates are checked against this CA; who has none may still come with a token.
      ca: tls.fleetCa,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    },
  });
}

/** `mutualTLS` is OpenAPI 3.1's word for a client certificate. */
const securitySchemes = {
  token: {type: 'http', scheme: 'bearer'},
  certificate: {type: 'mutualTLS'},
};

async function describeApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {title: 'Hawser server', version},
      // Its types know no mutualTLS: put right where the document is served.
      components: {
        securitySchemes: {
          token: {type: 'http', scheme: 'bearer'},
          certificate: {type: 'http', scheme: 'tls'},
        },
      },
    },
    transform: ({schema, url}) => ({schema: {...schema, security: securityOf(url, schema.tags ?? [])}, url}),
  });
}

/** A machine may also read what the server keeps of it. */
function securityOf(url: string, tags: readonly string[]): readonly Record<string, readonly string[]>[] {
  const [token, certificate] = [{token: []}, {certificate: []}];
  if (tags.includes('enrolment') || url === '/v1/login') return [];
  if (tags.includes('machine')) return [certificate];
  return url.startsWith('/v1/machines/') ? [token, certificate] : [token];
}

/** Static files as they are: any web server could do this. */
async function serveRepository(app: FastifyInstance, folder: string): Promise<void> {
  await mkdir(folder, {recursive: true, mode: 0o755});
  await app.register(fastifyStatic, {
    root: folder,
    prefix: '/repository/',
    index: false,
    dotfiles: 'deny',
    decorateReply: false,
    // Payloads are named by their content, metadata is not.
    setHeaders: (reply, path) =>
      void reply.header(
        'cache-control',
        path.startsWith(`${folder}/payloads/`) ? 'public, max-age=31536000, immutable' : 'no-cache',
      ),
  });
}
