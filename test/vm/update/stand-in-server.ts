/** A server of a few lines for one machine: the answers to checks, one lock, and a repository with ranges, over mutual TLS. */
import {createReadStream} from 'node:fs';
import {stat, writeFile} from 'node:fs/promises';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {join, normalize} from 'node:path';
import {CheckRequest, type CheckAnswer} from '../../../services/common/contracts/fleet.ts';
import {AcquireRequest, PhaseRequest, ReleaseRequest} from '../../../services/common/contracts/lock.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {Lab} from '../first-boot/lab.ts';

export interface StandIn {
  wanted: {readonly action: 'stage' | 'apply'; readonly version: string} | undefined;
  readonly checks: CheckRequest[];
  /** In order: `acquire 0.1.0 0.1.1`, `phase rebooting`, `release 0.1.1`. */
  readonly lock: string[];
  /** Bytes of bodies that were sent from the repository. */
  repositoryBytes: number;
  /** On loopback. */
  readonly ownPort: number;
  /** For QEMU: leads from `address:port` of the guest to this server. */
  readonly guestForward: string;
  /** As after a crash: nobody listens, every connection is cut. */
  kill(): Promise<void>;
  /** On the same port again. */
  restart(): Promise<void>;
}

export interface StandInOptions {
  readonly repository: string;
  readonly address: string;
  readonly port: number;
  readonly tls: {readonly key: string; readonly certificate: string; readonly ca: string};
  /** Called when a file of the repository is asked for, before it is sent. */
  readonly onRepository?: (path: string) => void;
}

// QEMU starts it for each connection, with the connection as standard input and output.
const forwarder = `exec 3<>"/dev/tcp/127.0.0.1/$1" 4<&0
cat <&4 >&3 &
cat <&3
kill $! 2>/dev/null
`;

export async function startStandIn(
  lab: Pick<Lab, 'folder' | 'note' | 'teardown'>,
  options: StandInOptions,
): Promise<StandIn> {
  const {tls, address, port} = options;
  const script = join(lab.folder, 'forward.sh');
  await writeFile(script, forwarder);
  let fence = 0;
  const server = createServer(
    {key: tls.key, cert: tls.certificate, ca: tls.ca, requestCert: true, rejectUnauthorized: true},
    (request, response) => {
      void handle(request, response).catch((error: unknown) => {
        lab.note(`the stand-in server: ${String(error)}`);
        response.destroy();
      });
    },
  );
  const listen = (at: number) => new Promise<void>(resolve => server.listen(at, '127.0.0.1', resolve));
  const kill = async () => {
    server.close();
    server.closeAllConnections();
  };
  await listen(0);
  lab.teardown(kill);
  const own = (server.address() as AddressInfo).port;
  const state: StandIn = {
    wanted: undefined,
    checks: [],
    lock: [],
    repositoryBytes: 0,
    ownPort: own,
    guestForward: `guestfwd=tcp:${address}:${port}-cmd:bash ${script} ${own}`,
    kill,
    restart: () => listen(own),
  };
  return state;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://stand-in');
    if (url.pathname.startsWith('/repository/')) return serveFile(url.pathname, request, response);
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const answer = (value: unknown) => {
      response.writeHead(200, {'content-type': 'application/json'});
      response.end(JSON.stringify(value));
    };
    switch (url.pathname) {
      case '/v1/check':
        return answer(check(parseJson(CheckRequest, body, 'a check')));
      case '/v1/lock/acquire': {
        const {from, to} = parseJson(AcquireRequest, body, 'an acquire');
        state.lock.push(`acquire ${from} ${to}`);
        fence += 1;
        return answer({group: 'all', fence: String(fence), deadline: '2099-01-01T00:00:00Z'});
      }
      case '/v1/lock/phase':
        state.lock.push(`phase ${parseJson(PhaseRequest, body, 'a phase').phase}`);
        return answer({});
      case '/v1/lock/release':
        state.lock.push(`release ${parseJson(ReleaseRequest, body, 'a release').version}`);
        return answer({outcome: 'updated'});
      default:
        response.writeHead(404);
        response.end();
    }
  }

  function check(request: CheckRequest): CheckAnswer {
    state.checks.push(request);
    const rest = {pollSeconds: 3600, eventsReceived: request.events.at(-1)?.sequence ?? 0};
    const {wanted} = state;
    return wanted === undefined || wanted.version === request.version
      ? {action: 'none', reason: 'up to date', ...rest}
      : {...wanted, reason: 'wave 1 of 1', ...rest};
  }

  async function serveFile(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    options.onRepository?.(path);
    const file = join(options.repository, normalize(decodeURIComponent(path.slice('/repository/'.length))));
    const info = await stat(file).catch(() => undefined);
    if (info === undefined || !info.isFile() || !file.startsWith(options.repository)) {
      response.writeHead(404);
      response.end();
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [start, end] =
      range === null ? [0, info.size - 1] : [Number(range[1]), Math.min(Number(range[2]), info.size - 1)];
    response.writeHead(range === null ? 200 : 206, {
      'content-length': end - start + 1,
      ...(range === null ? {} : {'content-range': `bytes ${start}-${end}/${info.size}`}),
    });
    state.repositoryBytes += end - start + 1;
    createReadStream(file, {start, end}).pipe(response);
  }
}
