/** Docker's health and version calls by mutual TLS, with the certificate that enrolment brought. */
import {access, readFile} from 'node:fs/promises';
import {createServer} from 'node:https';
import {setTimeout as delay} from 'node:timers/promises';
import type {ExecutionContext} from 'ava';
import type {Layout} from '../../../services/enrol-agent/layout.ts';

export interface DockerStandIn {
  /** Reads the certificate again, as a restarted dockerd does. */
  reload(): Promise<void>;
}

/** Resolves once the machine that `layout` describes is enrolled and its Docker answers at `port` of 127.0.0.1. */
export async function serveDocker(t: ExecutionContext, layout: Layout, port: number): Promise<DockerStandIn> {
  // Written when certificate and CA are both there.
  while (!(await exists(layout.enrolled))) await delay(20);
  const pems = async () => {
    const [cert, key, ca] = await Promise.all(
      [layout.certificate, layout.key, layout.clientCa].map(path => readFile(path)),
    );
    return {cert, key, ca};
  };
  const server = createServer(
    {...(await pems()), requestCert: true, rejectUnauthorized: true},
    (request, response) => {
      response.statusCode = request.url === '/_ping' || request.url === '/version' ? 200 : 404;
      response.end(request.url === '/version' ? '{"Version":"26.1.5"}' : 'OK');
    },
  );
  t.teardown(() => server.close());
  await new Promise<void>(resolve => server.listen({host: '127.0.0.1', port}, resolve));
  return {reload: async () => server.setSecureContext(await pems())};
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
