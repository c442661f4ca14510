/** An allocator over a store, with machines that ask it. */
import type {ExecutionContext} from 'ava';
import fastify, {type FastifyInstance} from 'fastify';
import type {Caller} from '../../services/common/contracts/caller.ts';
import type {OverlayLease, OverlayNetwork} from '../../services/common/contracts/overlay.ts';
import {overlayAllocator} from '../../services/overlay-allocator/plugin.ts';
import type {OverlayStore} from '../../services/overlay-allocator/ports.ts';
import {manualClock, uuidOf, type ManualClock} from '../update-server/support.ts';

export interface Answer<Body> {
  readonly status: number;
  readonly body: Body & {readonly kind?: string; readonly message?: string};
}

export interface AllocatorBench {
  readonly app: FastifyInstance;
  readonly clock: ManualClock;
  readonly ask: <Body = object>(number: number, path: string, body?: object) => Promise<Answer<Body>>;
  readonly operator: <Body = object>(
    method: 'GET' | 'PUT' | 'DELETE' | 'POST',
    path: string,
    body?: object,
  ) => Promise<Answer<Body>>;
  /** Announces machine `number` at 192.0.2.`number`. */
  readonly announce: (number: number, over?: object) => Promise<Answer<object>>;
  readonly network: (subnet: string, over?: object) => Promise<OverlayNetwork>;
  readonly claim: (number: number, network: string, over?: object) => Promise<Answer<OverlayLease>>;
}

/** Two over one store are two servers. */
export async function allocatorBench(
  t: ExecutionContext,
  store: OverlayStore,
  clock = manualClock(),
): Promise<AllocatorBench> {
  const app = fastify({ajv: {customOptions: {coerceTypes: false, removeAdditional: false}}});
  t.teardown(() => app.close());
  await app.register(overlayAllocator, {
    store,
    clock,
    random: () => 0.5,
    callerOf: request => JSON.parse(String(request.headers['x-caller'] ?? '{"kind":"anonymous"}')) as Caller,
  });
  const send = async <Body>(
    caller: Caller,
    method: 'GET' | 'PUT' | 'DELETE' | 'POST',
    url: string,
    body?: object,
  ): Promise<Answer<Body>> => {
    const answer = await app.inject({
      method,
      url: `/v1/overlay/${url}`,
      headers: {'x-caller': JSON.stringify(caller)},
      ...(body === undefined ? {} : {payload: body}),
    });
    return {status: answer.statusCode, body: answer.json()};
  };
  const ask: AllocatorBench['ask'] = (number, path, body = {}) =>
    send({kind: 'machine', uuid: uuidOf(number), name: `m${number}`}, 'POST', path, body);
  return {
    app,
    clock,
    ask,
    operator: (method, path, body) =>
      send({kind: 'operator', name: 'o', role: 'operator'}, method, path, body),
    announce: (number, over) =>
      ask(number, 'host', {address: `192.0.2.${number}`, mtu: 1500, boot: `boot-${number}`, ...over}),
    network: async (subnet, over) => {
      const {status, body} = await ask<OverlayNetwork>(1, 'networks', {subnet, ...over});
      if (status !== 200) throw new Error(`${status} ${body.message}`);
      return body;
    },
    claim: (number, network, over) => ask(number, 'leases/claim', {network, ...over}),
  };
}
