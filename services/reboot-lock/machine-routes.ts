/** `/v1/lock/*`: what machines ask, each for itself alone. The certificate says who it is, never the body. */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {FastifyInstance, FastifyRequest} from 'fastify';
import {Type} from 'typebox';
import {ErrorAnswer} from '../common/contracts/fleet.ts';
import {
  AcquireAnswer,
  AcquireRequest,
  LockRefusal,
  PhaseRequest,
  ReleaseAnswer,
  ReleaseRequest,
} from '../common/contracts/lock.ts';
import {CallerDenied, stillWaits} from './callers.ts';
import {LockError} from './errors.ts';
import type {LockPolicy} from './ports.ts';
import type {RouteTools} from './plugin.ts';
import {releaseSlot, reportPhase, takeSlot} from './service.ts';

const tags = ['machine'];

export function machineRoutes(app: FastifyInstance, tools: RouteTools): void {
  const {deps, metrics} = tools;
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();
  const errors = {'4xx': ErrorAnswer, '5xx': ErrorAnswer};

  typed.post(
    '/v1/lock/acquire',
    {
      schema: {
        summary: 'Ask for a slot; 409 says who holds them, and to ask again',
        tags,
        body: AcquireRequest,
        response: {200: AcquireAnswer, 409: LockRefusal, ...errors},
      },
    },
    async (request, reply) => {
      const machine = await machineOf(tools, request);
      const policy = await policyOf(tools, machine.uuid);
      const {from, to, expectedSeconds, clusters} = request.body;
      const wish = {
        machine: machine.uuid,
        name: machine.name,
        from,
        to,
        clusters,
        expectedSeconds,
        via: 'agent',
      } as const;
      const result = await takeSlot(deps, policy, wish, stillWaits(request));
      if (result.kind === 'granted') {
        metrics?.granted(result.answer.group);
        request.log.info({machine: machine.uuid, ...result.answer}, 'slot granted');
        return result.answer;
      }
      metrics?.refused(policy.group, result.refusal.kind);
      return reply.code(409).send(result.refusal);
    },
  );

  typed.post(
    '/v1/lock/phase',
    {
      schema: {
        summary: 'Tell what the holder is doing; 409 when the slot is its own no more',
        tags,
        body: PhaseRequest,
        response: {204: Type.Null(), ...errors},
      },
    },
    async (request, reply) => {
      const machine = await machineOf(tools, request);
      const policy = await deps.policies.ofMachine(machine.uuid);
      await reportPhase(deps, policy?.group, machine.uuid, request.body);
      return reply.code(204).send(null);
    },
  );

  typed.post(
    '/v1/lock/release',
    {
      schema: {
        summary: 'Give the slot back, with the version that runs and is healthy',
        tags,
        body: ReleaseRequest,
        response: {200: ReleaseAnswer, ...errors},
      },
    },
    async request => {
      const machine = await machineOf(tools, request);
      // A machine that no policy covers any more may still give back what it holds.
      const policy = await deps.policies.ofMachine(machine.uuid);
      const answer = await releaseSlot(deps, policy?.group, machine.uuid, request.body, stillWaits(request));
      metrics?.released(policy?.group ?? '', answer.outcome);
      request.log.info({machine: machine.uuid, outcome: answer.outcome}, 'slot released');
      return answer;
    },
  );
}

async function policyOf({deps}: RouteTools, uuid: string): Promise<LockPolicy> {
  const policy = await deps.policies.ofMachine(uuid);
  if (policy !== undefined) return policy;
  throw new LockError('unknown-machine', `machine ${uuid} belongs to no group`, {
    remedy: 'let it poll for updates first, and see that a group covers its labels',
  });
}

async function machineOf(tools: RouteTools, request: FastifyRequest): Promise<{uuid: string; name: string}> {
  const caller = await tools.callerOf(request);
  if (caller.kind === 'machine') return caller;
  throw new CallerDenied(
    caller.kind === 'anonymous' ? 401 : 403,
    'only a machine, by its own certificate, asks for a slot',
  );
}
