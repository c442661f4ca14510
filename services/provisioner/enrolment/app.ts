/** Enrolment over HTTPS. What is answered: README.md, "The protocol". */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import fastify, {type FastifyInstance, type FastifyPluginAsync, type FastifyServerOptions} from 'fastify';
import {EnrolmentGrant, EnrolmentRequest} from '../../common/contracts/enrolment.ts';
import {enrol, type EnrolDeps} from './enrol.ts';
import {EnrolmentError, type EnrolmentErrorCode} from './errors.ts';
import {createRateLimiter} from './rate-limit.ts';

/** A request is about 2 KiB. */
const BODY_LIMIT = 64 * 1024;
// A machine that is refused backs off; no honest one comes more often than this.
const RATE = {burst: 10, perSecond: 1, callers: 4096};

export interface AppOptions {
  /** PEM pair for TLS; plain HTTP when absent, which only tests that inject use. */
  readonly tls?: {readonly key: string; readonly certificate: string};
  readonly logger?: NonNullable<FastifyServerOptions['logger']>;
}

/** Builds the server without listening. Bodies, tokens and MACs are never logged. */
export function buildApp(deps: EnrolDeps, options: AppOptions = {}): FastifyInstance {
  const settings = {
    bodyLimit: BODY_LIMIT,
    logger: options.logger ?? false,
    requestTimeout: 10_000,
    connectionTimeout: 30_000,
    return503OnClosing: true,
    // Strict: a field of the wrong type is refused rather than turned into the right one.
    ajv: {customOptions: {coerceTypes: false, removeAdditional: false}},
  } as const;
  const app =
    options.tls === undefined
      ? fastify(settings)
      : fastify({
          ...settings,
          https: {key: options.tls.key, cert: options.tls.certificate, minVersion: 'TLSv1.2'},
        });
  refuseUnknownPages(app);
  addRoutes(app, deps);
  return app;
}

function refuseUnknownPages(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({kind: 'not-found', message: 'no such page'}),
  );
}

/** The same routes for a server that offers more than enrolment; it must be as strict about types (see above). */
export const enrolmentRoutes: FastifyPluginAsync<{readonly deps: EnrolDeps}> = (app, {deps}) => {
  addRoutes(app, deps);
  return Promise.resolve();
};

function addRoutes(app: FastifyInstance, deps: EnrolDeps): void {
  const mayGoOn = createRateLimiter(RATE);
  app.addHook('onRequest', (request, reply, done) => {
    if (mayGoOn(request.ip, deps.now() * 1000)) return done();
    void reply
      .code(429)
      .header('retry-after', '5')
      .send({kind: 'too-many-requests', message: 'too many requests'});
  });

  app.setErrorHandler((error, request, reply) => {
    const {status, kind, message} = describe(error);
    if (status >= 500) request.log.error({err: error}, 'enrolment failed');
    else
      request.log.info(
        {kind: error instanceof EnrolmentError ? error.code : kind, url: request.url, why: message},
        'enrolment refused',
      );
    return reply.code(status).send({kind, message});
  });

  const typed = app.withTypeProvider<TypeBoxTypeProvider>();
  const tags = ['enrolment'];
  typed.get('/v1/ca', {schema: {summary: "The fleet's CA as PEM", tags}}, (_request, reply) =>
    reply.type('application/x-pem-file').send(deps.authority.fleetCa),
  );
  typed.post(
    '/v1/enrol',
    {
      schema: {
        summary: 'Trade a single-use token and a certificate request for the certificate',
        tags,
        body: EnrolmentRequest,
        response: {200: EnrolmentGrant},
      },
    },
    request => enrol(request.body, deps),
  );
}

interface Answer {
  readonly status: number;
  readonly kind: string;
  readonly message: string;
}

function describe(error: unknown): Answer {
  if (error instanceof EnrolmentError) return refusal(error.code, error.message);
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status >= 400 && status < 500) {
    return {status, kind: 'malformed', message: error instanceof Error ? error.message : 'bad request'};
  }
  return FAULT;
}

function refusal(code: EnrolmentErrorCode, message: string): Answer {
  const status: number = STATUS[code];
  // One answer for both, so that a stranger cannot ask which machines exist.
  if (status === 401) return {status, kind: 'not-authentic', message: 'the request is not authentic'};
  return status === 500 ? FAULT : {status, kind: code, message};
}

const FAULT: Answer = {status: 500, kind: 'fault', message: 'the server could not answer'};

const STATUS = {
  malformed: 400,
  'bad-csr': 400,
  'weak-key': 400,
  'bad-mac': 401,
  'unknown-machine': 401,
  'token-used': 409,
  'token-expired': 410,
  'store-busy': 503,
  'host-key-mismatch': 500,
  'bad-name': 500,
  'stale-generation': 500,
  'issued-differently': 500,
  'broken-ca': 500,
  'ca-expired': 500,
  'store-broken': 500,
} as const satisfies Record<EnrolmentErrorCode, number>;
