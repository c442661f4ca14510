/** The update server's API as an operator's commands use it: HTTPS with the fleet's CA, a bearer token, JSON. */
import {readFile} from 'node:fs/promises';
import {request as httpRequest} from 'node:http';
import {request as httpsRequest} from 'node:https';
import {join} from 'node:path';
import type {Static, TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {ErrorAnswer} from './contracts/fleet.ts';
import {loginFile, ServerLogin, serverStableName} from './contracts/server.ts';
import {HawserError, systemErrorCode, unlessMissing} from './errors.ts';
import {parseJson} from './parse.ts';
import {resolvePaths} from './paths.ts';

/**
 * `server-refused`: an answer that says no, with its `kind` in the context; the others are not answers.
 * `server-untrusted`: its certificate is not of the CA that is trusted, or not a server's of ours.
 */
export class ServerClientError extends HawserError<
  'no-server' | 'server-unreachable' | 'server-untrusted' | 'server-refused' | 'server-broken'
> {}

export interface ServerClient {
  /** For messages. */
  readonly server: string;
  /** Sends `body` as JSON and checks the answer. Throws {@link ServerClientError} and ParseError. */
  call<Schema extends TSchema>(
    method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    answer: Schema,
    body?: unknown,
  ): Promise<Static<Schema>>;
}

export interface ServerClientOptions {
  readonly server: string;
  readonly token?: string | undefined;
  /** PEM; the system's authorities when absent. */
  readonly ca?: string | undefined;
  /** Name checked in its certificate; the address's when absent. */
  readonly serverName?: string | undefined;
  readonly signal: AbortSignal;
}

const TIMEOUT_MS = 30_000;
const MAX_ANSWER = 64 * 1024 * 1024;

/** As {@link findServerClient}. Throws `no-server` when none is known. */
export async function openServerClient(
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<ServerClient> {
  const client = await findServerClient(env, signal);
  if (client !== undefined) return client;
  throw new ServerClientError('no-server', 'no update server is known here', {
    remedy:
      'start one with hawser server, use hawser login, or set HAWSER_SERVER and HAWSER_TOKEN or HAWSER_TOKEN_FILE',
  });
}

/**
 * From `HAWSER_SERVER`, `HAWSER_TOKEN` (or the file that `HAWSER_TOKEN_FILE` names) and `HAWSER_CA` (a file; the fleet's
 * CA in Hawser's home when absent); else the server that `hawser login`, or `hawser server` on this very host, left in
 * Hawser's home. Undefined when there is neither.
 */
export async function findServerClient(
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<ServerClient | undefined> {
  const server = env['HAWSER_SERVER'];
  const {home} = resolvePaths(env);
  if (server === undefined || server === '') return loggedIn(home, signal);
  const tokenFile = env['HAWSER_TOKEN_FILE'];
  const token =
    env['HAWSER_TOKEN'] ?? (tokenFile === undefined ? undefined : await readFile(tokenFile, 'utf8'));
  const ca =
    env['HAWSER_CA'] === undefined
      ? await readFile(join(home, 'ca', 'ca.pem'), 'utf8').catch(() => undefined)
      : await readFile(env['HAWSER_CA'], 'utf8');
  const serverName = ca === undefined ? undefined : serverStableName;
  return serverClient({server, token: token?.trim(), ca, serverName, signal});
}

async function loggedIn(home: string, signal: AbortSignal): Promise<ServerClient | undefined> {
  const path = join(home, ...loginFile);
  const text = await unlessMissing(readFile(path, 'utf8'));
  if (text === undefined) return undefined;
  const {url, token, ca, serverName} = parseJson(ServerLogin, text, path);
  return serverClient({server: url, token, ca, serverName, signal});
}

export function serverClient(options: ServerClientOptions): ServerClient {
  const base = parseBase(options.server);
  return {
    server: base.href,
    call: async (method, path, schema, body) => {
      const url = new URL(path.replace(/^\//, ''), base);
      const {status, text} = await send(url, method, body, options);
      if (status >= 200 && status < 300) return parseJson(schema, text === '' ? 'null' : text, url.href);
      throw refusal(url, status, text);
    },
  };
}

function parseBase(server: string): URL {
  const url = URL.canParse(server) ? new URL(server.endsWith('/') ? server : `${server}/`) : undefined;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return url;
  throw new ServerClientError('no-server', `"${server}" cannot be the address of an update server`, {
    remedy: 'give https://HOST:PORT; plain http is for 127.0.0.1 alone, since the token goes with it',
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}

async function send(
  url: URL,
  method: string,
  body: unknown,
  {token, ca, serverName, signal}: ServerClientOptions,
): Promise<{status: number; text: string}> {
  const headers: Record<string, string> = {accept: 'application/json'};
  if (token !== undefined && token !== '') headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    return await new Promise((resolve, reject) => {
      const answer = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const request =
        url.protocol === 'https:'
          ? httpsRequest(url, {
              method,
              headers,
              signal: answer,
              ...(ca === undefined ? {} : {ca}),
              ...(serverName === undefined ? {} : {servername: serverName}),
            })
          : httpRequest(url, {method, headers, signal: answer});
      request.on('error', reject);
      request.on('response', response => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('error', reject);
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > MAX_ANSWER) request.destroy(new Error('the answer does not end'));
        });
        response.on('end', () =>
          resolve({status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8')}),
        );
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  } catch (error) {
    signal.throwIfAborted();
    const code = systemErrorCode(error);
    const why = code ?? (error instanceof Error ? error.message : String(error));
    if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code ?? '')) {
      throw new ServerClientError(
        'server-untrusted',
        `${url.origin} is not the server that is trusted (${why})`,
        {
          remedy: 'check HAWSER_SERVER and HAWSER_CA, or log in again',
          cause: error,
        },
      );
    }
    throw new ServerClientError('server-unreachable', `${url.origin} does not answer (${why})`, {
      remedy: 'check HAWSER_SERVER, the network, and whether "hawser server" runs',
      cause: error,
    });
  }
}

function refusal(url: URL, status: number, text: string): ServerClientError {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  const known = Value.Check(ErrorAnswer, answer) ? answer : undefined;
  const message = known?.message ?? `HTTP ${status}`;
  if (status >= 500)
    return new ServerClientError('server-broken', `${url.origin} failed: ${message}`, {context: {status}});
  return new ServerClientError('server-refused', `${url.origin} refused: ${message}`, {
    context: {status, kind: known?.kind},
    ...(status === 401
      ? {remedy: 'log in again, or set HAWSER_TOKEN or HAWSER_TOKEN_FILE to a token that is valid'}
      : {}),
  });
}
