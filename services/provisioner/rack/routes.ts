/** The rack's side of `services/common/contracts/rack.ts`, as routes for an HTTPS server. */
import type {FastifyInstance, FastifyPluginAsync, FastifyRequest} from 'fastify';
import type {Static, TSchema} from 'typebox';
import {
  BeginRequest,
  FailedRequest,
  InstalledRequest,
  ProgressRequest,
  RACK_BODY_LIMIT,
  RackReport,
  rackHeaders,
  rackPaths,
} from '../../common/contracts/rack.ts';
import {parseJson, ParseError} from '../../common/parse.ts';
import {RackError, type RackErrorCode} from './errors.ts';
import {createRequestGuard, type GivenRequest} from './requests.ts';
import type {Rack} from './service.ts';

export interface RackRouteOptions {
  readonly rack: Rack;
}

const RETRY_SECONDS = 5;

/** Registered within its own scope: bodies stay the bytes that were signed until their signature is checked. */
export const rackRoutes: FastifyPluginAsync<RackRouteOptions> = (app, {rack}) => {
  const guard = createRequestGuard();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    {parseAs: 'buffer', bodyLimit: RACK_BODY_LIMIT},
    (_request, body, done) => done(null, body),
  );
  answerErrors(app);

  app.post(rackPaths.report, async request => {
    const report = readBody(RackReport, request);
    guard.check(report.keys.ed25519, given(request));
    return rack.report(report);
  });
  /** The permit names the machine, the machine's last report its keys. */
  const ofHolder = async (request: FastifyRequest): Promise<string> => {
    const permit = permitOf(request);
    guard.check((await rack.holder(permit)).report.keys.ed25519, given(request));
    return permit;
  };
  app.post(rackPaths.begin(':id'), async request => {
    await rack.begin(await ofHolder(request), readBody(BeginRequest, request));
    return {begun: true};
  });
  app.post(rackPaths.progress(':id'), async request =>
    rack.progress(await ofHolder(request), readBody(ProgressRequest, request)),
  );
  app.post(rackPaths.installed(':id'), async request => {
    await rack.installed(await ofHolder(request), readBody(InstalledRequest, request));
    return {reboot: true};
  });
  app.post(rackPaths.failed(':id'), async request => {
    await rack.failed(await ofHolder(request), readBody(FailedRequest, request));
    return {noted: true};
  });
  app.get(rackPaths.config, async (request, reply) => {
    const token = /^Bearer ([A-Za-z0-9_-]{16,128})$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) throw new RackError('not-authentic', 'the config needs the token of a permit');
    const asked = given(request);
    const config = await rack.config(token, machine => {
      if (asked.signature === undefined) return false;
      guard.check(machine.report.keys.ed25519, asked);
      return true;
    });
    return reply
      .header('cache-control', 'no-store')
      .type('application/vnd.coreos.ignition+json')
      .send(config);
  });
  return Promise.resolve();
};

function given(request: FastifyRequest): GivenRequest {
  const header = (name: string) => {
    const value = request.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    method: request.method === 'GET' ? 'GET' : 'POST',
    path: request.url,
    body: request.body instanceof Uint8Array ? request.body : '',
    sequence: header(rackHeaders.sequence),
    signature: header(rackHeaders.signature),
  };
}

function readBody<Schema extends TSchema>(schema: Schema, {body}: FastifyRequest): Static<Schema> {
  try {
    return parseJson(
      schema,
      Buffer.from(body instanceof Uint8Array ? body : '').toString('utf8'),
      'the request',
    );
  } catch (error) {
    if (error instanceof ParseError) throw new RackError('malformed', error.message, {cause: error});
    throw error;
  }
}

function permitOf({params}: FastifyRequest): string {
  const id: unknown = typeof params === 'object' && params !== null && 'id' in params ? params.id : undefined;
  if (typeof id === 'string' && /^[A-Za-z0-9_-]{22}$/.test(id)) return id;
  throw new RackError('malformed', 'that is not the id of a permit');
}

const STATUS: Readonly<Partial<Record<RackErrorCode, number>>> = {
  malformed: 400,
  'not-authentic': 401,
  replayed: 409,
  'permit-used': 409,
  'wrong-disk': 409,
  ambiguous: 409,
  'permit-void': 410,
  'token-burned': 410,
};

/** What is not the machine's fault is 503: Ignition and firmware give up at once on anything below 500. */
function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const status = error instanceof RackError ? STATUS[error.code] : statusOf(error);
    if (error instanceof RackError && status !== undefined) {
      request.log.info({kind: error.code, url: request.url, why: error.message}, 'rack request refused');
      return reply.code(status).send({kind: error.code, message: error.message});
    }
    if (status !== undefined) return reply.code(status).send({kind: 'malformed', message: 'bad request'});
    request.log.error({err: error}, 'rack request failed');
    const kind = error instanceof RackError && error.code === 'busy' ? 'busy' : 'not-ready';
    return reply
      .code(503)
      .header('retry-after', String(RETRY_SECONDS))
      .send({kind, message: 'the rack is not ready: ask again'});
  });
}

function statusOf(error: unknown): number | undefined {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  return status >= 400 && status < 500 ? status : undefined;
}
