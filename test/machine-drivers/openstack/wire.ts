/** A small server that answers as a cloud's services were recorded to: for what the lab cannot be made to do. */
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {IncomingHttpHeaders, IncomingMessage, RequestListener, Server} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import {text} from 'node:stream/consumers';
import type {ExecutionContext} from 'ava';

export interface Seen {
  /** Method and path with its query, for instance `GET /compute/v2.1/servers`. */
  readonly line: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Reply {
  readonly status: number;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Closes the connection instead of an answer. */
  readonly hangUp?: boolean;
}

export interface Wire {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** Lines that were asked, without the tokens. */
  lines(): readonly string[];
}

export type Answer = (seen: Seen, tokensGiven: number) => Reply;

/** Gives tokens `token-1`, `token-2`, ... to anyone who has the password; everything else is `answer`'s. */
export async function startWire(
  t: ExecutionContext,
  answer: Answer,
  over: {readonly tls?: {readonly cert: string; readonly key: string}; readonly password?: string} = {},
): Promise<Wire> {
  const {tls, password} = over;
  const seen: Seen[] = [];
  let tokens = 0;
  let url = '';
  const listener: RequestListener = (request, response) => {
    void read(request).then(one => {
      seen.push(one);
      const reply =
        one.line !== 'POST /v3/auth/tokens'
          ? answer(one, tokens)
          : password === undefined || one.body.includes(JSON.stringify(password))
            ? tokenReply(url, ++tokens)
            : refused;
      if (reply.hangUp === true) {
        request.socket.destroy();
        return;
      }
      response.writeHead(reply.status, {'content-type': 'application/json', ...reply.headers});
      response.end(reply.json === undefined ? '' : JSON.stringify(reply.json));
    });
  };
  const server: Server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer({cert: await readFile(tls.cert), key: await readFile(tls.key)}, listener);
  await new Promise<void>(resolve => server.listen({host: '127.0.0.1', port: 0}, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`;
  const lines = () => seen.map(one => one.line).filter(line => !line.endsWith('/auth/tokens'));
  return {url, seen, lines};
}

async function read(request: IncomingMessage): Promise<Seen> {
  const {method = '', url = '', headers} = request;
  return {line: `${method} ${url}`, headers, body: await text(request)};
}

const message = 'The request you have made requires authentication.';
const refused: Reply = {status: 401, json: {error: {code: 401, message, title: 'Unauthorized'}}};

function tokenReply(url: string, number: number): Reply {
  const services = ['compute', 'image', 'network'];
  return {
    status: 201,
    headers: {'x-subject-token': `token-${number}`},
    json: {
      token: {
        expires_at: '2026-11-25T02:00:00.000000Z',
        user: {id: 'user', name: 'user'},
        project: {id: 'project', name: 'project'},
        catalog: services.map(type => ({
          type,
          endpoints: [{interface: 'public', region_id: 'RegionOne', url: `${url}/${type}`}],
        })),
      },
    },
  };
}
