/** `/v1/locks*`: operators see who holds what, and take a slot away for a reason that is kept. */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {FastifyInstance, FastifyRequest} from 'fastify';
import {Type} from 'typebox';
import {roleCovers, type OperatorRole} from '../common/contracts/caller.ts';
import {ErrorAnswer} from '../common/contracts/fleet.ts';
import {
  GroupName,
  HeldSlot,
  LockList,
  MachineGone,
  MachineGoneAnswer,
  OperatorRelease,
} from '../common/contracts/lock.ts';
import {CallerDenied} from './callers.ts';
import {listLocks, toHeldSlot} from './listing.ts';
import type {RouteTools} from './plugin.ts';
import {freeGone, takeAway} from './service.ts';

const tags = ['locks'];

export function operatorRoutes(app: FastifyInstance, tools: RouteTools): void {
  const {deps, metrics} = tools;
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();
  const errors = {'4xx': ErrorAnswer, '5xx': ErrorAnswer};

  typed.get(
    '/v1/locks',
    {schema: {summary: 'Who holds which slot of each group', tags, response: {200: LockList, ...errors}}},
    async request => {
      await operatorOf(tools, request, 'viewer');
      return listLocks(deps);
    },
  );

  typed.post(
    '/v1/locks/:group/release',
    {
      schema: {
        summary: 'Take the slot of a machine away',
        tags,
        params: Type.Object({group: GroupName}),
        body: OperatorRelease,
        response: {200: HeldSlot, ...errors},
      },
    },
    async request => {
      const actor = await operatorOf(tools, request, 'operator');
      const {group} = request.params;
      const {machine, reason} = request.body;
      const holder = await takeAway(deps, group, machine, {actor, action: 'lock-released', reason});
      metrics?.released(group, 'operator');
      request.log.warn({actor, group, machine: holder.machine, reason}, 'slot taken away by an operator');
      return toHeldSlot(holder, deps.clock.now());
    },
  );

  typed.post(
    '/v1/locks/gone',
    {
      schema: {
        summary: 'Free what a machine held that exists no more',
        tags,
        body: MachineGone,
        response: {200: MachineGoneAnswer, ...errors},
      },
    },
    async request => {
      const actor = await operatorOf(tools, request, 'operator');
      const {machine} = request.body;
      const freed = await freeGone(deps, machine, actor);
      for (const group of freed) {
        metrics?.released(group, 'gone');
        request.log.warn({actor, group, machine}, 'slot of a machine that exists no more was freed');
      }
      return {freed};
    },
  );
}

async function operatorOf(tools: RouteTools, request: FastifyRequest, needed: OperatorRole): Promise<string> {
  const caller = await tools.callerOf(request);
  if (caller.kind === 'anonymous') throw new CallerDenied(401, 'give an operator token');
  if (caller.kind === 'machine')
    throw new CallerDenied(403, 'machines do not see or change the locks of others');
  if (!roleCovers(caller.role, needed))
    throw new CallerDenied(403, `this needs the role ${needed}, not ${caller.role}`);
  return caller.name;
}
