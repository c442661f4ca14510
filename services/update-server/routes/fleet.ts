/** The fleet as operators see it, and what they decide about single machines. */
import {Readable} from 'node:stream';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {Type} from 'typebox';
import {AuditList, AuditQuery} from '../../common/contracts/audit.ts';
import {GroupName} from '../../common/contracts/lock.ts';
import {AssignmentChange, FleetStatus, MachineStatus, StoredEvent} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import type {Machine} from '../fleet.ts';
import type {RouteTools, Routes} from '../plugin.ts';
import {fleetSummary, machineStatus, machineStatuses, type StatusInput} from '../status.ts';
import type {FastifyRequest} from 'fastify';
import {Done, refusals} from './shared.ts';

/** Machines in one piece of the fleet's status: a few milliseconds of work. */
const SLICE = 200;

const tags = ['fleet'];
const Named = Type.Object({machine: Type.String({minLength: 1, maxLength: 128})});

export const fleetRoutes: Routes = (app, tools) => {
  const {service, operator} = tools;
  app.get(
    '/v1/fleet',
    {
      schema: {
        summary: 'Machines, rollouts and locks as they stand now, of one group when it is named',
        tags,
        querystring: Type.Object({group: Type.Optional(GroupName)}, {additionalProperties: false}),
        // Sent in pieces, so that a large fleet does not keep polls waiting.
        response: {200: Type.Unsafe<Readable>(FleetStatus), ...refusals},
      },
    },
    async (request, reply) => {
      operator(request, 'viewer');
      const {group} = request.query;
      if (group !== undefined) service.lookup.group(group);
      const text = Readable.from(statusText(await service.statusInput(), group), {objectMode: false});
      return reply.type('application/json; charset=utf-8').send(text);
    },
  );
  app.get(
    '/v1/audit',
    {
      schema: {
        summary: 'What operators did, and what the server did by itself, newest first',
        tags,
        querystring: AuditQuery,
        response: {200: AuditList, ...refusals},
      },
    },
    async request => {
      operator(request, 'viewer');
      const {limit = '100', before} = request.query;
      return service.audit(Number(limit), before);
    },
  );
  app.get(
    '/v1/machines/:machine',
    {schema: {summary: 'One machine', tags, params: Named, response: {200: MachineStatus, ...refusals}}},
    async request =>
      machineStatus(visible(tools, request, request.params.machine), await service.statusInput()),
  );
  app.get(
    '/v1/machines/:machine/events',
    {
      schema: {
        summary: "A machine's last events, oldest first",
        tags,
        params: Named,
        response: {200: Type.Object({events: Type.Array(StoredEvent)}), ...refusals},
      },
    },
    async request => {
      const {record} = visible(tools, request, request.params.machine);
      return {events: [...(await service.events(record.uuid))]};
    },
  );
  app.patch(
    '/v1/machines/:machine',
    {
      schema: {
        summary: 'Assign a machine to a group, pin it, lay labels over its own; null takes them away',
        tags,
        params: Named,
        body: AssignmentChange,
        response: {200: MachineStatus, ...refusals},
      },
    },
    async request => {
      const {machine} = request.params;
      await service.operations.assign(machine, request.body, operator(request, 'operator'));
      return machineStatus(service.lookup.machine(machine), await service.statusInput());
    },
  );
  app.delete(
    '/v1/machines/:machine',
    {
      schema: {
        summary: 'Forget a machine: its certificate is refused from then on',
        tags,
        params: Named,
        response: {200: Done, ...refusals},
      },
    },
    async request => {
      await service.operations.forget(request.params.machine, operator(request, 'operator'));
      return {};
    },
  );
};

/** FleetStatus as JSON, in pieces: polls are answered between them, however large the fleet is. */
async function* statusText(input: StatusInput, only: string | undefined): AsyncGenerator<string> {
  let text = `${JSON.stringify(fleetSummary(input, only)).slice(0, -1)},"machines":[`;
  let count = 0;
  for (const machine of machineStatuses(input, only)) {
    text += (count === 0 ? '' : ',') + JSON.stringify(machine);
    count += 1;
    if (count % SLICE !== 0) continue;
    yield text;
    text = '';
    await nextTurn();
  }
  yield `${text}]}`;
}

/** Operators see every machine, a machine itself only. */
function visible({service, caller, operator}: RouteTools, request: FastifyRequest, name: string): Machine {
  const who = caller(request);
  if (who.kind !== 'machine') {
    operator(request, 'viewer');
    return service.lookup.machine(name);
  }
  service.checkKnown(who);
  if (name !== who.uuid && name !== who.name)
    throw new ServerError('other-identity', 'a machine can ask for itself only');
  return service.lookup.machine(who.uuid);
}
