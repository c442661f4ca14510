/** An agent with its plugin against the real allocator over a store in memory; the kernel alone is a list of what it was told. */
import type {ExecutionContext} from 'ava';
import type {FastifyInstance} from 'fastify';
import {OverlayAgent} from '../../../services/overlay-agent/agent.ts';
import type {Self} from '../../../services/overlay-agent/desired.ts';
import {dockerPlugin} from '../../../services/overlay-agent/docker/plugin.ts';
import {OverlayError} from '../../../services/overlay-agent/errors.ts';
import {openMemory, type Memory} from '../../../services/overlay-agent/memory.ts';
import type {AgentStore, Dataplane, ServerPort} from '../../../services/overlay-agent/ports.ts';
import {emptyRecord, type AgentRecord} from '../../../services/overlay-agent/record.ts';
import type {StoredState} from '../../../services/overlay-agent/state.ts';
import {uuidOf} from '../../update-server/support.ts';
import type {AllocatorBench} from '../../overlay-allocator/support.ts';

export const silent = {info: () => undefined, warn: () => undefined, error: () => undefined};

export interface AgentBench {
  readonly agent: OverlayAgent;
  readonly memory: Memory;
  readonly server: ServerPort;
  readonly plugin: FastifyInstance;
  /** A call as dockerd makes it: no content type. */
  readonly docker: (name: string, body?: object | string) => Promise<Record<string, unknown>>;
  readonly kernel: string[];
  readonly mirroring: Set<string>;
  /** While true, the server does not answer. */
  away: boolean;
  /** Why the server refuses this host. */
  refusal?: OverlayError;
}

export async function agentBench(
  t: ExecutionContext,
  server: AllocatorBench,
  number: number,
): Promise<AgentBench> {
  const kernel: string[] = [];
  const mirroring = new Set<string>();
  const self: Self = {machine: uuidOf(number), address: `192.0.2.${number}`, mtu: 1500, port: 4789};
  const memory = await openMemory(memoryFiles(), server.clock, silent, () => undefined);
  const port = serverPort(server, number, () => bench.away);
  const dataplane: Dataplane = {
    read: () => Promise.resolve({namespaces: new Map(), strays: []}),
    apply: () => Promise.resolve([]),
    addPort: ({namespace, port: name, inside, mac, mtu}) =>
      Promise.resolve(void kernel.push(`add ${namespace} ${name} ${inside} ${mac} ${mtu}`)),
    removePort: (namespace, name) => Promise.resolve(void kernel.push(`remove ${namespace} ${name}`)),
  };
  const agent = new OverlayAgent({
    memory,
    server: port,
    dataplane,
    self: () => self,
    clock: server.clock,
    log: silent,
    reconciled: () => Promise.resolve(),
    refusal: () => bench.refusal,
  });
  const plugin = dockerPlugin({agent, memory, server: port, log: silent, mirroring});
  t.teardown(() => plugin.close());
  await server.announce(number);
  const bench: AgentBench = {
    agent,
    memory,
    server: port,
    plugin,
    kernel,
    mirroring,
    away: false,
    docker: async (name, body) => {
      const payload =
        body === undefined ? {} : {payload: typeof body === 'string' ? body : JSON.stringify(body)};
      const answer = await plugin.inject({method: 'POST', url: `/${name}`, ...payload});
      return answer.json();
    },
  };
  return bench;
}

function memoryFiles(): AgentStore {
  let record: AgentRecord = emptyRecord;
  let state: StoredState | undefined;
  return {
    loadRecord: () => Promise.resolve(record),
    saveRecord: value => Promise.resolve(void (record = value)),
    loadState: () => Promise.resolve(state),
    saveState: value => Promise.resolve(void (state = value)),
  };
}

function serverPort({ask}: AllocatorBench, number: number, away: () => boolean): ServerPort {
  const call = async <Body>(path: string, body: object = {}): Promise<Body> => {
    if (away()) throw new OverlayError('unreachable', 'the server does not answer');
    const {status, body: answer} = await ask<Body>(number, path, body);
    if (status === 200) return answer;
    throw new OverlayError('refused', answer.message ?? '', {context: {kind: answer.kind}});
  };
  return {
    announce: request => call('host', request),
    createNetwork: request => call('networks', request),
    nameNetwork: (id, request) => call(`networks/${id}/name`, request),
    removeNetwork: async id => void (await call(`networks/${id}/remove`)),
    claim: request => call('leases/claim', request),
    release: async (network, block) => void (await call('leases/release', {network, block})),
    endpoints: async request => void (await call('endpoints', request)),
    watch: () => Promise.reject(new OverlayError('unreachable', 'not followed here')),
  };
}
