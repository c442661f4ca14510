/**
 * One HTTP exchange. Node's fetch cannot be told a cloud's own authority or client certificate, so this is node:https:
 * bodies go out and come back as streams, since an image is larger than memory.
 */
import {readFile} from 'node:fs/promises';
import {Agent as HttpAgent, request as httpRequest} from 'node:http';
import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';
import {Agent as HttpsAgent, request as httpsRequest} from 'node:https';
import type {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemErrorCode} from '../../../../services/common/errors.ts';
import type {TlsOptions} from './cloud-config.ts';
import {OpenStackError} from './errors.ts';

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | {readonly stream: Readable; readonly length: number};
  /** Milliseconds without a byte on the wire after which the exchange is given up. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  /** The address that this host called from, and the one that it reached. */
  readonly local: string | undefined;
  readonly remote: string | undefined;
}

export interface Transport extends Disposable {
  /** Rejects with OpenStackError `unreachable` when there is no answer, and with AbortError. */
  send(request: HttpRequest): Promise<HttpAnswer>;
}

export async function openTransport(tls: TlsOptions): Promise<Transport> {
  const agents = {
    http: new HttpAgent({keepAlive: true}),
    https: new HttpsAgent({
      keepAlive: true,
      rejectUnauthorized: tls.verify,
      ca: await readPem('cacert', tls.cacert),
      cert: await readPem('cert', tls.cert),
      key: await readPem('key', tls.key),
    }),
  };
  return {
    send: request => exchange(request, agents),
    [Symbol.dispose]: () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

async function exchange(
  wish: HttpRequest,
  agents: {readonly http: HttpAgent; readonly https: HttpsAgent},
): Promise<HttpAnswer> {
  const {method, body, signal} = wish;
  const url = new URL(wish.url);
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body?.length;
  const headers = {...wish.headers, ...(length === undefined ? {} : {'content-length': String(length)})};
  const options = {method, headers, signal, timeout: wish.idleMs};
  const request =
    url.protocol === 'https:'
      ? httpsRequest(url, {...options, agent: agents.https})
      : httpRequest(url, {...options, agent: agents.http});
  const answer = Promise.withResolvers<IncomingMessage>();
  request.once('response', answer.resolve);
  // Stays: what breaks after the answer has begun is told here too, and would end the process unheard.
  request.on('error', answer.reject);
  request.once('timeout', () => request.destroy(new Error(`no answer within ${wish.idleMs / 1000} s`)));
  if (typeof body === 'object') {
    // A service that refuses answers before it has read everything: that answer counts, not the broken pipe.
    pipeline(body.stream, request).catch((error: unknown) => answer.reject(error));
  } else request.end(body ?? '');
  try {
    const response = await answer.promise;
    const {localAddress: local, remoteAddress: remote} = response.socket;
    return {status: response.statusCode ?? 0, headers: response.headers, body: response, local, remote};
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(url, error);
  }
}

function unreachable(url: URL, error: unknown): OpenStackError {
  const why = error instanceof Error ? error.message || (systemErrorCode(error) ?? '') : String(error);
  const untrusted = /certificate|self-signed|altname/i.test(why);
  return new OpenStackError('unreachable', `${url.origin} cannot be reached: ${why}`, {
    cause: error,
    remedy: untrusted
      ? "give the cloud's authority (cacert in clouds.yaml, OS_CACERT or --openstack-cacert)"
      : 'check auth_url, the interface (public, internal) and the way there',
  });
}

async function readPem(key: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw new OpenStackError('bad-cloud-config', `the cloud's ${key} ${path} cannot be read`, {
      cause: error,
      remedy: 'give a PEM file; a relative path begins at the current folder',
    });
  }
}
