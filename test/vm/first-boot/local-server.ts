/** Servers of a case, reached by the guest through QEMU's guestfwd: no route leads out of the emulator. */
import {createServer, type RequestListener} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import {readFile, writeFile} from 'node:fs/promises';
import type {Server} from 'node:net';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {Lab} from './lab.ts';

// QEMU starts it for each connection, with the connection as standard input and output.
const forwarder = `exec 3<>"/dev/tcp/127.0.0.1/$1" 4<&0
cat <&4 >&3 &
cat <&3
kill $! 2>/dev/null
`;

export interface Authority {
  readonly caPem: string;
  readonly key: string;
  readonly certificate: string;
}

/** A listening server; returns the `guestfwd=` value that makes it `address:port` for the guest. */
export async function serve(
  lab: Pick<Lab, 'folder' | 'teardown'>,
  address: string,
  port: number,
  listener: RequestListener,
  tls?: Authority,
): Promise<string> {
  const server: Server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer({key: tls.key, cert: tls.certificate}, listener);
  const own = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address();
      if (bound !== null && typeof bound === 'object') resolve(bound.port);
    });
  });
  lab.teardown(async () => void server.close());
  const script = join(lab.folder, 'forward.sh');
  await writeFile(script, forwarder);
  return `guestfwd=tcp:${address}:${port}-cmd:bash ${script} ${own}`;
}

/** A CA and a server certificate for `address`. */
export async function makeAuthority(lab: Lab, address: string): Promise<Authority> {
  const path = (name: string) => join(lab.folder, name);
  const openssl = (...argv: string[]) => exec(['openssl', ...argv], {timeoutMs: 20_000});
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/CN=lab',
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.crt'),
  );
  await openssl(
    'req',
    ...key,
    '-subj',
    `/CN=${address}`,
    '-keyout',
    path('tls.key'),
    '-out',
    path('tls.csr'),
  );
  await writeFile(path('san'), `subjectAltName=IP:${address}\n`);
  await openssl(
    'x509',
    '-req',
    '-in',
    path('tls.csr'),
    '-CA',
    path('ca.crt'),
    '-CAkey',
    path('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    path('san'),
    '-out',
    path('tls.crt'),
  );
  const read = (name: string) => readFile(path(name), 'utf8');
  return {caPem: await read('ca.crt'), key: await read('tls.key'), certificate: await read('tls.crt')};
}
