/**
 * FleetLock v1 (coreos/zincati, docs/development/fleetlock/protocol.md): `pre-reboot` takes a slot, `steady-state` gives
 * it back. Error kinds are few, and "all slots held" is not a fault.
 */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {FastifyInstance, FastifyRequest} from 'fastify';
import {Type} from 'typebox';
import {GroupName} from '../common/contracts/lock.ts';
import {replyFor} from './answers.ts';
import {stillWaits} from './callers.ts';
import type {LockPolicy} from './ports.ts';
import type {RouteTools} from './plugin.ts';
import type {Refusal} from './semaphore.ts';
import {steadyState, takeSlot} from './service.ts';

const Body = Type.Object({
  client_params: Type.Object({
    id: Type.String({pattern: '^[\\x21-\\x7e]{1,128}$'}),
    group: GroupName,
  }),
});

/** A client of this protocol does not say how long it needs. */
const EXPECTED_SECONDS = 3600;

const KINDS = {
  'all-slots-held': 'all_slots_held',
  'domain-held': 'domain_held',
  quorum: 'quorum',
  halted: 'halted',
} as const satisfies Record<Refusal['kind'], string>;

class FleetLockDenied extends Error {
  readonly status: number;
  readonly kind: string;

  constructor(status: number, kind: string, message: string) {
    super(message);
    this.name = 'FleetLockDenied';
    this.status = status;
    this.kind = kind;
  }
}

export function fleetLockRoutes(app: FastifyInstance, tools: RouteTools): void {
  const {deps, metrics} = tools;
  app.setErrorHandler((error, request, reply) => {
    const {status, kind, message} =
      error instanceof FleetLockDenied ? error : {...replyFor(error), kind: kindOf(error)};
    metrics?.fault(kind);
    if (status >= 500) request.log.error({err: error, kind}, 'FleetLock request failed');
    else request.log.info({kind, url: request.url, why: message}, 'FleetLock request refused');
    return reply.code(status).send({kind, value: message});
  });
  app.addHook('onRequest', (request, _reply, done) => {
    // FleetLock: the header keeps browsers and stray requests out.
    if (request.headers['fleet-lock-protocol'] === 'true') done();
    else done(new FleetLockDenied(400, 'missing_header', 'the header fleet-lock-protocol must be "true"'));
  });
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();

  const schema = {tags: ['machine'], body: Body};
  const takes = {...schema, summary: 'FleetLock: ask for a slot'};
  typed.post('/v1/pre-reboot', {schema: takes}, async (request, reply) => {
    const client = await clientOf(tools, request, request.body.client_params);
    const wish = {
      machine: client.id,
      name: client.name,
      clusters: [],
      expectedSeconds: EXPECTED_SECONDS,
      via: 'fleet-lock',
    } as const;
    const result = await takeSlot(deps, client.policy, wish, stillWaits(request));
    if (result.kind === 'granted') {
      metrics?.granted(client.policy.group);
      return reply.code(200).send({});
    }
    const kind = KINDS[result.refusal.kind];
    metrics?.refused(client.policy.group, result.refusal.kind);
    return reply.code(409).send({kind, value: result.refusal.message});
  });

  const gives = {...schema, summary: 'FleetLock: give the slot back'};
  typed.post('/v1/steady-state', {schema: gives}, async (request, reply) => {
    const client = await clientOf(tools, request, request.body.client_params);
    const outcome = await steadyState(deps, client.policy.group, client.id, stillWaits(request));
    if (outcome === 'not-proven') {
      throw new FleetLockDenied(
        409,
        'not_proven',
        'this slot was taken by the update agent, which must prove health',
      );
    }
    metrics?.released(client.policy.group, outcome);
    return reply.code(200).send({});
  });
}

interface Client {
  readonly id: string;
  readonly name: string;
  readonly policy: LockPolicy;
}

/** The id must be the certificate's machine, except in a group marked legacy, whose clients have none. */
async function clientOf(
  tools: RouteTools,
  request: FastifyRequest,
  claim: {readonly id: string; readonly group: string},
): Promise<Client> {
  const {policies} = tools.deps;
  const group = await policies.ofGroup(claim.group);
  if (group === undefined)
    throw new FleetLockDenied(400, 'unknown_group', `there is no group ${claim.group}`);
  const caller = await tools.callerOf(request);
  if (group.legacy === true) {
    // A machine with a certificate cannot speak for another one here either.
    if (caller.kind !== 'machine') return {id: claim.id, name: claim.id, policy: group};
  }
  if (caller.kind !== 'machine') {
    throw new FleetLockDenied(
      401,
      'invalid_client_identity',
      'this group needs the certificate of the machine',
    );
  }
  if (plain(claim.id) !== plain(caller.uuid)) {
    throw new FleetLockDenied(403, 'invalid_client_identity', 'the id is not the machine of the certificate');
  }
  const policy = await policies.ofMachine(caller.uuid);
  if (policy?.group !== claim.group) {
    throw new FleetLockDenied(403, 'wrong_group', `this machine does not belong to group ${claim.group}`);
  }
  return {id: caller.uuid, name: caller.name, policy};
}

/** Clients write machine ids without dashes. */
function plain(id: string): string {
  return id.replaceAll('-', '').toLowerCase();
}

function kindOf(error: unknown): string {
  const {status, kind} = replyFor(error);
  if (kind === 'malformed') return 'invalid_client_parameters';
  return status >= 500 || status === 412 ? 'failed_lock' : kind.replaceAll('-', '_');
}
