/** Stands before a service of the lab and counts what is asked. */
import {createServer, request as send} from 'node:http';
import type {ExecutionContext} from 'ava';

export interface CountingProxy {
  readonly url: string;
  /** Requests so far whose method and path begin with `start`. */
  count(start: string): number;
}

export async function startCountingProxy(
  t: Pick<ExecutionContext, 'teardown'>,
  target: {readonly port: number},
): Promise<CountingProxy> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const {method = '', url = '', headers} = request;
    seen.push(`${method} ${url}`);
    const onward = send({host: '127.0.0.1', port: target.port, method, path: url, headers}, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.once('error', () => request.socket.destroy());
    request.pipe(onward);
  });
  await new Promise<void>(resolve => server.listen({host: '127.0.0.1', port: 0}, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    count: start => seen.filter(line => line.startsWith(start)).length,
  };
}
