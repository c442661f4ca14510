/** A rack over a real store and HTTPS, and machines that behave as the contract says, without disks of their own. */
import {createHmac} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {Agent, request as httpsRequest} from 'node:https';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import fastify, {type FastifyInstance} from 'fastify';
import type {Clock} from '../../../services/common/clock.ts';
import {
  RackAnswer,
  RackPermit,
  rackHeaders,
  rackPaths,
  type RackDisk,
  type RackReport,
} from '../../../services/common/contracts/rack.ts';
import {serverStableName} from '../../../services/common/contracts/server.ts';
import {sha256} from '../../../services/common/hash.ts';
import {parseJson, parseValue} from '../../../services/common/parse.ts';
import {
  makeBootKeys,
  openSealed,
  permitContext,
  signRequest,
  type BootKeys,
} from '../../../services/common/rack-crypto.ts';
import {openEnrolment} from '../../../services/provisioner/enrolment/index.ts';
import {openFileStore} from '../../../services/provisioner/rack/adapters/file-store.ts';
import type {RackGroup} from '../../../services/provisioner/rack/groups.ts';
import type {RackMachine} from '../../../services/provisioner/rack/record.ts';
import type {RackSupplies} from '../../../services/provisioner/rack/ports.ts';
import {rackRoutes} from '../../../services/provisioner/rack/routes.ts';
import {openRack, type Rack} from '../../../services/provisioner/rack/service.ts';

export const rootHash = 'ab'.repeat(32);
const GIB = 1024 ** 3;

export function diskOf(number: number, over: Partial<RackDisk> = {}): RackDisk {
  return {
    path: '/dev/vda',
    serial: `DISK-${number}`,
    bytes: 20 * GIB,
    sectorBytes: 512,
    transport: 'virtio',
    rotational: false,
    removable: false,
    readOnly: false,
    leftovers: [],
    ...over,
  };
}

export function macOf(number: number): string {
  return `52:54:00:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;
}

export function uuidOf(number: number): string {
  return `11111111-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

export function reportOf(
  number: number,
  keys = makeBootKeys().keys,
  over: Partial<RackReport> = {},
): RackReport {
  return {
    schema: 1,
    keys,
    uuid: uuidOf(number),
    serial: `SERIAL-${number}`,
    architecture: 'x86_64',
    nics: [{name: 'eth0', mac: macOf(number), up: true, addresses: []}],
    cpu: {model: 'simulated', sockets: 1, cores: 2, threads: 2},
    memory: 4 * GIB,
    disks: [diskOf(number)],
    firmware: {kind: 'uefi', secureBoot: 'enabled', tpm: '2.0'},
    clock: 0,
    agent: {version: '0.0.0'},
    problems: [],
    ...over,
  };
}

export const anyMachine: RackGroup = {name: 'all', machineName: 'node-{n}', disk: {}, encryption: 'none'};

export interface RackBench {
  readonly rack: Rack;
  readonly app: FastifyInstance;
  readonly url: string;
  readonly ca: string;
  readonly folder: string;
  /** Machines that have enrolled. */
  readonly enrolled: Set<string>;
}

export interface RackBenchOptions {
  readonly groups?: readonly RackGroup[];
  readonly supplies?: Partial<RackSupplies>;
  readonly clock?: Clock;
  /** Of an earlier bench: a server that was started anew. */
  readonly folder?: string;
}

const clockOfNow: Clock = {now: () => new Date(), sleep: () => Promise.resolve()};

export async function rackBench(t: ExecutionContext, options: RackBenchOptions = {}): Promise<RackBench> {
  const {clock = clockOfNow} = options;
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'hawser-rack-')));
  if (options.folder === undefined) t.teardown(() => rm(folder, {recursive: true, force: true}));
  const enrolment = await openEnrolment({home: folder, clock: clockOfNow});
  const {key, certificate} = await enrolment.serverCertificate([]);
  const app = fastify({https: {key, cert: certificate}});
  t.teardown(() => app.close());
  const enrolled = new Set<string>();
  let permits = 0;
  const supplies: RackSupplies = {
    release: () => Promise.resolve({version: '1.0.0', rootHash, artefacts: [usr]}),
    config: machine => Promise.resolve(configOf(machine)),
    tokenOf: permit => createHmac('sha256', 'test').update(permit).digest('base64url'),
    hasEnrolled: machine => Promise.resolve(enrolled.has(machine)),
    newPermitId: () => `${sha256(folder).slice(0, 12)}${String((permits += 1)).padStart(10, '0')}`,
    ...options.supplies,
  };
  const store = await openFileStore(join(folder, 'rack'));
  const groups = options.groups ?? [anyMachine];
  const rack = openRack({store, supplies, clock, groups, url: 'https://127.0.0.1'});
  await app.register(rackRoutes, {rack});
  const url = await app.listen({host: '127.0.0.1', port: 0});
  return {rack, app, url, ca: await enrolment.caPem(), folder, enrolled};
}

export function configOf(machine: RackMachine): string {
  return JSON.stringify({ignition: {version: '3.3.0'}, generation: machine.generation, name: machine.name});
}

const usr = {
  name: 'usr' as const,
  url: `http://127.0.0.1/artefacts/${'cd'.repeat(32)}`,
  compression: 'none' as const,
  fetch: {bytes: 1, sha256: 'cd'.repeat(32)},
};

export interface Reply {
  readonly status: number;
  readonly body: string;
  readonly kind: string | undefined;
  readonly retryAfter: string | undefined;
}

/** One boot of a machine. */
export class Boot {
  readonly own: BootKeys = makeBootKeys();
  readonly number: number;
  private readonly bench: RackBench;
  private readonly agent: Agent;
  private sequence = 0;

  constructor(t: ExecutionContext, bench: RackBench, number: number) {
    this.bench = bench;
    this.number = number;
    this.agent = new Agent({keepAlive: true, ca: bench.ca, servername: serverStableName});
    t.teardown(() => this.agent.destroy());
  }

  async report(over: Partial<RackReport> = {}): Promise<RackAnswer> {
    const reply = await this.post(rackPaths.report, reportOf(this.number, this.own.keys, over));
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.body}`);
    return parseJson(RackAnswer, reply.body, 'the answer');
  }

  open(answer: RackAnswer): RackPermit {
    if (answer.task.kind !== 'install') throw new Error(`told to ${answer.task.kind}: ${answer.task.reason}`);
    const {permit, sealed} = answer.task;
    const opened: unknown = JSON.parse(openSealed(this.own, sealed, permitContext(answer.machine, permit)));
    return parseValue(RackPermit, opened, 'the permit');
  }

  begin(permit: RackPermit, attempt = 'A'.repeat(22), over: Partial<RackDisk> = {}): Promise<Reply> {
    const {path, serial, bytes} = diskOf(this.number, over);
    return this.post(rackPaths.begin(permit.id), {attempt, disk: {path, serial, bytes}});
  }

  installed(permit: RackPermit): Promise<Reply> {
    return this.post(rackPaths.installed(permit.id), {
      version: permit.release.version,
      rootHash: permit.release.rootHash,
      encrypted: false,
      fetched: 1,
      written: 1,
      seconds: {write: 1},
      lines: ['done'],
    });
  }

  failed(permit: RackPermit, wrote: boolean): Promise<Reply> {
    const body = {code: 'write-failed', step: 'write', message: 'the disk is broken', wrote, lines: []};
    return this.post(rackPaths.failed(permit.id), body);
  }

  post(path: string, body: object, over: {sequence?: number; signedBy?: BootKeys} = {}): Promise<Reply> {
    return this.send('POST', path, JSON.stringify(body), over);
  }

  /** The config as the agent (signed) or as Ignition fetches it. */
  config(token: string, signed: boolean): Promise<Reply> {
    return this.send('GET', rackPaths.config, '', {token, unsigned: !signed});
  }

  private send(
    method: 'GET' | 'POST',
    path: string,
    body: string,
    over: {sequence?: number; signedBy?: BootKeys; token?: string; unsigned?: boolean},
  ): Promise<Reply> {
    const sequence = over.sequence ?? (this.sequence += 1);
    const signature = signRequest((over.signedBy ?? this.own).ed25519, {method, path, sequence, body});
    const headers: Record<string, string> = {
      ...(method === 'POST' ? {'content-type': 'application/json'} : {}),
      ...(over.unsigned === true
        ? {}
        : {[rackHeaders.sequence]: String(sequence), [rackHeaders.signature]: signature}),
      ...(over.token === undefined ? {} : {authorization: `Bearer ${over.token}`}),
    };
    return new Promise((resolve, reject) => {
      const asked = httpsRequest(
        new URL(path, this.bench.url),
        {method, headers, agent: this.agent},
        answer => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const kind = /"kind":"([a-z-]+)"/.exec(text)?.[1];
            resolve({
              status: answer.statusCode ?? 0,
              body: text,
              kind,
              retryAfter: answer.headers['retry-after'],
            });
          });
        },
      );
      asked.on('error', reject);
      asked.end(body === '' ? undefined : body);
    });
  }
}
