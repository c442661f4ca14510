/** A static repository over HTTP on loopback, as any web server serves it; it counts bytes and misbehaves on request. */
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {join, normalize} from 'node:path';

export interface Request {
  readonly path: string;
  readonly range: {readonly first: number; readonly last: number} | undefined;
  /** Counts from 1. */
  readonly number: number;
}

/** How one answer deviates from what it should be. */
export type Fault =
  /** The connection ends after so many bytes of the body. */
  | {readonly kind: 'cut'; readonly after: number}
  /** The byte at this offset of the file is flipped, if it is in the answer. */
  | {readonly kind: 'flip'; readonly offset: number}
  /** Range is ignored: 200 and the whole file. */
  | {readonly kind: 'whole'}
  /** 206 with a Content-Range and a start that was not asked for. */
  | {readonly kind: 'elsewhere'}
  /** Content-Length says more than is sent. */
  | {readonly kind: 'long-length'}
  /** More bytes than were asked for. */
  | {readonly kind: 'more'}
  | {readonly kind: 'status'; readonly status: number};

export interface RepositoryServer extends AsyncDisposable {
  readonly url: string;
  /** Bytes sent and received on all connections, headers included. */
  wireBytes(): number;
  readonly requests: Request[];
}

export interface RepositoryServerOptions {
  /** Decides over each request; undefined serves it well. */
  readonly fault?: (request: Request) => Fault | undefined;
}

export async function serveRepository(
  folder: string,
  options: RepositoryServerOptions = {},
): Promise<RepositoryServer> {
  const requests: Request[] = [];
  const sockets = new Set<Socket>();
  let closedBytes = 0;
  const server = createServer((message, response) => {
    answer(folder, message, response, requests, options).catch(() => response.destroy());
  });
  server.on('connection', socket => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      closedBytes += socket.bytesRead + socket.bytesWritten;
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    wireBytes: () => [...sockets].reduce((sum, one) => sum + one.bytesRead + one.bytesWritten, closedBytes),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise(resolve => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  folder: string,
  message: IncomingMessage,
  response: ServerResponse,
  requests: Request[],
  {fault: decide}: RepositoryServerOptions,
): Promise<void> {
  const path = normalize(decodeURIComponent(new URL(message.url ?? '/', 'http://repository').pathname));
  const asked = /^bytes=(\d+)-(\d+)$/.exec(message.headers.range ?? '');
  const range = asked === null ? undefined : {first: Number(asked[1]), last: Number(asked[2])};
  const request = {path, range, number: requests.length + 1};
  requests.push(request);
  const fault = decide?.(request);
  const found = await stat(join(folder, path)).catch(() => undefined);
  if (fault?.kind === 'status' || found === undefined) {
    response.writeHead(fault?.kind === 'status' ? fault.status : 404).end();
    return;
  }
  let [first, last] =
    range === undefined || fault?.kind === 'whole' ? [0, found.size - 1] : [range.first, range.last];
  if (fault?.kind === 'elsewhere') first = Math.max(0, first - 1);
  if (fault?.kind === 'more') last = Math.min(found.size - 1, last + 100_000);
  const size = last - first + 1;
  const headers: Record<string, string | number> = {
    'content-length': size + (fault?.kind === 'long-length' ? 5000 : 0),
  };
  const partial = range !== undefined && fault?.kind !== 'whole';
  if (partial) headers['content-range'] = `bytes ${first}-${last}/${found.size}`;
  response.writeHead(partial ? 206 : 200, headers);
  let at = first;
  for await (const chunk of createReadStream(join(folder, path), {start: first, end: last})) {
    let bytes = Buffer.from(chunk as Uint8Array);
    if (fault?.kind === 'flip' && fault.offset >= at && fault.offset < at + bytes.length) {
      bytes[fault.offset - at] = (bytes[fault.offset - at] ?? 0) ^ 1;
    }
    if (fault?.kind === 'cut' && at - first + bytes.length >= fault.after) {
      bytes = bytes.subarray(0, Math.max(0, fault.after - (at - first)));
      response.write(bytes, () => response.destroy());
      return;
    }
    at += bytes.length;
    if (!response.write(bytes)) {
      // `close` without `drain` is a client that went away.
      await new Promise<void>(resolve => {
        const done = () => {
          response.off('drain', done).off('close', done);
          resolve();
        };
        response.on('drain', done).on('close', done);
      });
    }
    if (response.destroyed) return;
  }
  if (fault?.kind === 'long-length') response.destroy();
  else response.end();
}
