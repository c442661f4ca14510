/** Callers that may not do what they ask. */
import type {FastifyRequest} from 'fastify';
import {roleCovers, type OperatorRole} from '../common/contracts/caller.ts';
import type {Machine} from './decide.ts';
import type {RouteTools} from './plugin.ts';

/** Answered with its status, as fastify does for errors that carry one. */
export class CallerDenied extends Error {
  readonly statusCode: 401 | 403;

  constructor(statusCode: 401 | 403, message: string) {
    super(message);
    this.name = 'CallerDenied';
    this.statusCode = statusCode;
  }
}

/** The machine that asks. Throws {@link CallerDenied}. */
export async function machineOf(tools: RouteTools, request: FastifyRequest): Promise<Machine> {
  const caller = await tools.callerOf(request);
  if (caller.kind === 'machine') return caller;
  throw new CallerDenied(
    caller.kind === 'anonymous' ? 401 : 403,
    'only a machine, by its certificate, may ask this',
  );
}

/** The operator who asks. Throws {@link CallerDenied}. */
export async function operatorOf(
  tools: RouteTools,
  request: FastifyRequest,
  needed: OperatorRole,
): Promise<{readonly name: string}> {
  const caller = await tools.callerOf(request);
  if (caller.kind === 'operator' && roleCovers(caller.role, needed)) return caller;
  throw new CallerDenied(caller.kind === 'anonymous' ? 401 : 403, `only an operator (${needed}) may do this`);
}
