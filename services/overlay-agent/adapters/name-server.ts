/** Answers Docker's resolver, which asks for what it does not know itself, from the container's own namespace. */
import {createSocket, type RemoteInfo} from 'node:dgram';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {addressesOf} from '../names/lookup.ts';
import {readQuestion, TYPE_A, writeAnswer} from '../names/message.ts';
import type {AgentLog} from '../ports.ts';
import type {FollowedState} from '../state.ts';

/** On the loopback of every host, so that containers reach it over whatever bridge leads out. */
export const nameServerAddress = '169.254.67.53';
/** Docker keeps nothing; programs that do should not for long. */
const TTL_SECONDS = 1;
/** Docker's resolver waits for 4 s in all. */
const RELAY_MS = 1500;
const AGAIN_MS = 2000;

export interface NameServerDeps {
  readonly state: () => FollowedState;
  /** Networks of the container with this address on a bridge of this host; undefined when it is not known. */
  readonly networksAt: (address: string) => Promise<ReadonlySet<string> | undefined>;
  /** Servers for all other names, the host's own. */
  readonly upstreams: () => Promise<readonly string[]>;
  readonly log: AgentLog;
}

/** Serves until the signal fires. Without it, containers find names of their own host alone. */
export async function serveNames(deps: NameServerDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await serveOnce(deps, signal);
    await delay(AGAIN_MS, undefined, {signal}).catch(() => undefined);
  }
}

async function serveOnce(
  {state, networksAt, upstreams, log}: NameServerDeps,
  signal: AbortSignal,
): Promise<void> {
  const socket = createSocket('udp4');
  const closed = once(socket, 'close');
  const close = (): void => void socket.close();
  socket.on('error', error => {
    log.error({err: error}, `names cannot be answered at ${nameServerAddress}`);
    socket.close();
  });
  socket.on('message', (query, peer) => {
    answer(query, peer).then(
      bytes => socket.send(bytes, peer.port, peer.address),
      (error: unknown) => log.error({err: error}, 'a name could not be looked up'),
    );
  });
  socket.bind(53, nameServerAddress);
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, {once: true});
  await closed;
  signal.removeEventListener('abort', close);

  async function answer(query: Uint8Array, peer: RemoteInfo): Promise<Uint8Array> {
    const question = readQuestion(query);
    if (question === undefined) return writeAnswer(query, 'malformed');
    const networks = await networksAt(peer.address);
    const addresses = networks === undefined ? undefined : addressesOf(state(), networks, question.name);
    if (addresses === undefined)
      return (await relay(query, await upstreams())) ?? writeAnswer(query, 'refused');
    return writeAnswer(query, 'answer', question.type === TYPE_A ? addresses : [], TTL_SECONDS);
  }
}

/** The answer of the first server that gives one, byte for byte; undefined when none does. */
async function relay(query: Uint8Array, servers: readonly string[]): Promise<Uint8Array | undefined> {
  for (const server of servers) {
    const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4');
    try {
      // Connected, so that only that server is heard.
      socket.connect(53, server);
      await once(socket, 'connect', {signal: AbortSignal.timeout(RELAY_MS)});
      socket.send(query);
      const [bytes] = (await once(socket, 'message', {signal: AbortSignal.timeout(RELAY_MS)})) as [
        Uint8Array,
      ];
      return bytes;
    } catch {
      // The next one, then.
    } finally {
      socket.close();
    }
  }
  return undefined;
}

/** The servers in resolv.conf(5) files, of the first that names any but this one. */
export async function hostServers(paths: readonly string[]): Promise<readonly string[]> {
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const servers = [...text.matchAll(/^nameserver\s+([0-9a-fA-F:.]+)\s*$/gm)].map(
      ([, server = '']) => server,
    );
    const others = servers.filter(server => server !== nameServerAddress);
    if (others.length > 0) return others;
  }
  return [];
}
