/** The fleet as operators see it, and what they decide about single machines. */
import {Type} from 'typebox';
import {AuditList, AuditQuery} from '../../common/contracts/audit.ts';
import {AssignmentChange, FleetStatus, MachineStatus, StoredEvent} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import type {Machine} from '../fleet.ts';
import type {RouteTools, Routes} from '../plugin.ts';
import {fleetStatus, machineStatus} from '../status.ts';
import type {FastifyRequest} from 'fastify';
import {Done, refusals} from './shared.ts';

const tags = ['fleet'];
const Named = Type.Object({machine: Type.String({minLength: 1, maxLength: 128})});

export const fleetRoutes: Routes = (app, tools) => {
  const {service, operator} = tools;
  app.get(
    '/v1/fleet',
    {
      schema: {
        summary: 'Machines, rollouts and locks as they stand now',
        tags,
        response: {200: FleetStatus, ...refusals},
      },
    },
    async request => {
      operator(request, 'viewer');
      return fleetStatus(await service.statusInput());
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
      return machineStatus(service.operations.machine(machine), await service.statusInput());
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

/** Operators see every machine, a machine itself only. */
function visible({service, caller, operator}: RouteTools, request: FastifyRequest, name: string): Machine {
  const who = caller(request);
  if (who.kind !== 'machine') {
    operator(request, 'viewer');
    return service.operations.machine(name);
  }
  service.checkKnown(who);
  if (name !== who.uuid && name !== who.name)
    throw new ServerError('other-identity', 'a machine can ask for itself only');
  return service.operations.machine(who.uuid);
}
