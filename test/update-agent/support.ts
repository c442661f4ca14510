/** Releases and a server of a few lines for the agent's tests. */
import type {Clock} from '../../services/common/clock.ts';
import type {CheckRequest} from '../../services/common/contracts/fleet.ts';
import type {ReleaseManifest} from '../../services/common/contracts/release.ts';
import type {ReleasePort, ServerPort} from '../../services/update-agent/ports.ts';
import type {Policy} from '../../services/update-agent/states.ts';
import {SimulatedMachine, type Behaviour} from '../support/simulated-machine.ts';

export function rootHashOf(version: string): string {
  return Buffer.from(version).toString('hex').padEnd(64, '0').slice(0, 64);
}

export function manifest(version: string, over: Partial<ReleaseManifest> = {}): ReleaseManifest {
  const sha256 = 'a'.repeat(64);
  return {
    schema: 1,
    name: 'hawser',
    version,
    rootHash: rootHashOf(version),
    created: '2026-11-24T00:00:00Z',
    barrier: false,
    notes: '',
    packages: [],
    fullBytes: 1000,
    usr: {size: 4096, salt: '', uuid: '00000000-0000-0000-0000-000000000000'},
    uki: {size: 1000, sha256},
    bootLoader: {size: 100, sha256},
    payload: {path: 'payloads/x', size: 1, sha256},
    ...over,
  };
}

export function policy(over: Partial<Policy> = {}): Policy {
  return {
    own: {version: '1.0.0', rootHash: rootHashOf('1.0.0')},
    now: '2026-11-24T00:00:00.000Z',
    proven: true,
    failed: [],
    onDrainTimeout: 'wait',
    operator: {allowDowngrade: false, apply: false},
    gate: false,
    ...over,
  };
}

/** Time that stands still unless somebody sleeps. */
export function testClock(): Clock {
  let ms = Date.UTC(2026, 10, 24);
  return {
    now: () => new Date(ms),
    sleep: async time => {
      ms += time;
    },
  };
}

export interface TestServer extends ServerPort {
  wanted: {action: 'none' | 'stage' | 'apply'; version: string} | undefined;
  holder: string | undefined;
  readonly checks: CheckRequest[];
  readonly released: string[];
}

/** One channel, one lock with one slot. `for` gives each machine its own caller. */
export function testServer(): TestServer & {for(machine: string): ServerPort} {
  let fences = 0;
  let fence = '';
  const server: TestServer & {for(machine: string): ServerPort} = {
    wanted: undefined,
    holder: undefined,
    checks: [],
    released: [],
    async check(request) {
      server.checks.push(request);
      const {wanted} = server;
      const eventsReceived = request.events.at(-1)?.sequence ?? 0;
      const event =
        wanted === undefined || wanted.action === 'none' || request.version === wanted.version
          ? ({kind: 'answer-none', detail: 'up to date'} as const)
          : ({kind: `answer-${wanted.action}`, version: wanted.version, detail: 'wave 1'} as const);
      return {event, eventsReceived, pollSeconds: 300};
    },
    acquire: async () => server.for('machine').acquire({from: '', to: '', expectedSeconds: 60, clusters: []}),
    phase: async request =>
      request.fence === fence ? {kind: 'lock-confirmed'} : {kind: 'lock-lost', detail: 'fenced'},
    async release(request) {
      server.holder = undefined;
      server.released.push(request.version);
      return {kind: 'lock-released'};
    },
    for: machine => ({
      check: request => server.check(request),
      phase: request => server.phase(request),
      release: request => server.release(request),
      async acquire() {
        if (server.holder !== undefined && server.holder !== machine) {
          return {kind: 'lock-refused', refusal: 'all-slots-held', detail: `held by ${server.holder}`};
        }
        if (server.holder === undefined) fence = String((fences += 1));
        server.holder = machine;
        return {kind: 'lock-granted', fence};
      },
    }),
  };
  return server;
}

export function testReleases(known: Map<string, ReleaseManifest>): ReleasePort {
  return {
    async verify(version) {
      const release = known.get(version);
      if (release === undefined) return {kind: 'release-unknown', detail: version};
      const barriers = [...known.values()].filter(one => one.barrier).map(one => one.version);
      return {kind: 'metadata-verified', release, barriers};
    },
  };
}

export function simulated(
  given: Readonly<Record<string, Behaviour>>,
  over: Partial<ConstructorParameters<typeof SimulatedMachine>[0]> = {},
) {
  const server = testServer();
  const known = new Map(['1.0.0', ...Object.keys(given)].map(version => [version, manifest(version)]));
  const behaviours = new Map(Object.entries(given).map(([version, how]) => [rootHashOf(version), how]));
  const clock = testClock();
  const machine = new SimulatedMachine({
    name: 'machine',
    first: {manifest: manifest('1.0.0'), behaviour: 'good'},
    server: server.for('machine'),
    releases: testReleases(known),
    clock,
    behaviours,
    ...over,
  });
  return {machine, server, known, clock};
}
