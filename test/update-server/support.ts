/** A server over a store, a clock that is told the time, and machines that report what they are told. */
import type {ExecutionContext} from 'ava';
import fastify, {type FastifyInstance} from 'fastify';
import type {Registry} from 'prom-client';
import type {Clock} from '../../services/common/clock.ts';
import type {Caller, OperatorRole} from '../../services/common/contracts/caller.ts';
import type {CheckAnswer, CheckRequest} from '../../services/common/contracts/fleet.ts';
import type {GroupConfig} from '../../services/common/contracts/policy.ts';
import type {Store} from '../../services/update-server/ports.ts';
import {updateServer} from '../../services/update-server/plugin.ts';
import {UpdateService} from '../../services/update-server/service.ts';
import {startEtcd, type TestEtcd} from '../support/etcd.ts';

export interface ManualClock extends Clock {
  advance(seconds: number): void;
}

export function manualClock(start = Date.parse('2026-03-02T10:00:00Z')): ManualClock {
  let now = start;
  return {
    now: () => new Date(now),
    sleep: () => Promise.resolve(),
    advance: seconds => {
      now += seconds * 1000;
    },
  };
}

export const hash = (text: string): string => Buffer.from(text.padEnd(32, '.')).toString('hex').slice(0, 64);

/** A UUID that is `number`'s own. */
export function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

export function report(over: Partial<CheckRequest> = {}): CheckRequest {
  const version = over.version ?? '1.0.0';
  return {
    name: 'web-1',
    version,
    rootHash: hash(version),
    slot: 'a',
    bootId: 'boot-1',
    phase: 'idle',
    labels: {},
    failed: [],
    events: [],
    ...over,
  };
}

export function failure(version: string, reason = 'unhealthy'): CheckRequest['failed'][number] {
  return {version, rootHash: hash(version), reason, detail: '', at: '2026-03-02T10:00:00Z'};
}

export interface Bench {
  readonly service: UpdateService;
  readonly app: FastifyInstance;
  readonly clock: ManualClock;
  /** Reports as a machine; the machine's name is `m<number>`. */
  check(number: number, over?: Partial<CheckRequest>): Promise<CheckAnswer>;
  as(role: OperatorRole, method: Method, url: string, body?: object): Promise<Answer>;
  machine(number: number, method: Method, url: string, body?: object): Promise<Answer>;
  publish(version: string, over?: object): Promise<void>;
  group(name: string, config: GroupConfig): Promise<void>;
  promote(version: string, channel?: string): Promise<void>;
}

type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

export interface Answer {
  readonly status: number;
  readonly body: Record<string, never> & {readonly kind?: string; readonly message?: string};
}

export interface BenchWish {
  /** Called with each line of the log. */
  readonly log?: (line: string) => void;
  readonly metrics?: Registry;
}

/** Opens a server over `store`. Two over the same store are two servers. */
export async function bench(
  t: ExecutionContext,
  store: Store,
  clock = manualClock(),
  {log, metrics}: BenchWish = {},
): Promise<Bench> {
  const service = await UpdateService.open({store, clock, failed: error => t.log(String(error))});
  t.teardown(() => service.close());
  const app = fastify({
    ajv: {customOptions: {coerceTypes: false, removeAdditional: false}},
    ...(log === undefined ? {} : {logger: {level: 'info', stream: {write: log}}}),
  });
  t.teardown(() => app.close());
  // Tests say who calls; in the product the certificate or the token does.
  await app.register(updateServer, {
    service,
    callerOf: request => JSON.parse(String(request.headers['x-caller'] ?? '{"kind":"anonymous"}')) as Caller,
    ...(metrics === undefined ? {} : {metrics}),
  });
  const send = async (caller: Caller, method: Method, url: string, body?: object): Promise<Answer> => {
    const answer = await app.inject({
      method,
      url,
      headers: {'x-caller': JSON.stringify(caller)},
      ...(body === undefined ? {} : {payload: body}),
    });
    return {status: answer.statusCode, body: answer.json()};
  };
  const machine: Bench['machine'] = (number, method, url, body) =>
    send({kind: 'machine', uuid: uuidOf(number), name: `m${number}`}, method, url, body);
  const as: Bench['as'] = (role, method, url, body) =>
    send({kind: 'operator', name: role, role}, method, url, body);
  const fine = async (answer: Promise<Answer>): Promise<void> => {
    const {status, body} = await answer;
    if (status !== 200) throw new Error(`${status} ${body.kind} ${body.message}`);
  };
  return {
    service,
    app,
    clock,
    as,
    machine,
    check: async (number, over) => {
      const answer = await machine(number, 'POST', '/v1/check', report({name: `m${number}`, ...over}));
      if (answer.status !== 200)
        throw new Error(`${answer.status} ${answer.body.kind} ${answer.body.message}`);
      await service.conductor.settle();
      return answer.body as unknown as CheckAnswer;
    },
    publish: (version, over = {}) =>
      fine(
        as('operator', 'PUT', `/v1/releases/${version}`, {
          version,
          rootHash: hash(version),
          created: '2026-03-01T00:00:00Z',
          barrier: false,
          ...over,
        }),
      ),
    group: (name, config) => fine(as('operator', 'PUT', `/v1/groups/${name}`, config)),
    promote: (version, channel = 'stable') =>
      fine(as('operator', 'POST', `/v1/channels/${channel}/promote`, {version})),
  };
}

/** Makes the channel `stable`, and the releases 1.0.0 and 2.0.0 known. */
export async function withReleases(each: Bench, ...more: string[]): Promise<void> {
  await each.as('operator', 'PUT', '/v1/channels/stable', {});
  for (const version of ['1.0.0', '2.0.0', ...more]) await each.publish(version);
}

/** An etcd of our own on loopback, gone when the test ends. */
export async function realEtcd(t: ExecutionContext): Promise<TestEtcd> {
  const etcd = await startEtcd({fsync: false, dialTimeoutMs: 5000});
  t.teardown(() => etcd[Symbol.asyncDispose]());
  return etcd;
}

/** Waits for something that another process or server brings about; fails after `ms`. */
export async function eventually(what: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) throw new Error('it did not come about in time');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
