/** What machines ask, each for itself alone. The certificate says who it is, never the body. */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {FastifyInstance} from 'fastify';
import {Type} from 'typebox';
import {ErrorAnswer} from '../common/contracts/fleet.ts';
import {
  AnnounceAnswer,
  AnnounceRequest,
  ClaimRequest,
  CreateNetworkRequest,
  EndpointsRequest,
  NameNetworkRequest,
  NetworkId,
  OverlayLease,
  OverlayNetwork,
  ReleaseBlockRequest,
} from '../common/contracts/overlay.ts';
import {machineOf} from './callers.ts';
import {announce, claim, graceSeconds, release, removeNetwork, renewSeconds, setEndpoints} from './decide.ts';
import {AllocatorError} from './errors.ts';
import {createNetwork, nameNetwork} from './networks.ts';
import type {RouteTools} from './plugin.ts';

const errors = {'4xx': ErrorAnswer, '5xx': ErrorAnswer};
const Nothing = Type.Object({});
const tags = ['machine'];
const security = [{certificate: []}];
const ById = Type.Object({id: NetworkId});

export function machineRoutes(app: FastifyInstance, tools: RouteTools): void {
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();
  const {queue} = tools;

  typed.post(
    '/v1/overlay/host',
    {
      schema: {
        summary: 'Tell how this host is reached; renews all that it holds',
        tags,
        security,
        body: AnnounceRequest,
        response: {200: AnnounceAnswer, ...errors},
      },
    },
    async request => {
      const machine = await machineOf(tools, request);
      await queue.change((view, now) => announce(view, machine, request.body, now));
      return {renewSeconds, graceSeconds};
    },
  );

  typed.post(
    '/v1/overlay/networks',
    {
      schema: {
        summary: 'Make a network, on all hosts',
        tags,
        security,
        body: CreateNetworkRequest,
        response: {200: OverlayNetwork, ...errors},
      },
    },
    async request => {
      const {name} = await machineOf(tools, request);
      return queue.change((view, now) => createNetwork(view, request.body, `machine ${name}`, now));
    },
  );

  typed.post(
    '/v1/overlay/networks/:id/name',
    {
      schema: {
        summary: 'Give a network the name that Docker calls it by',
        tags,
        security,
        params: ById,
        body: NameNetworkRequest,
        response: {200: OverlayNetwork, ...errors},
      },
    },
    async request => {
      await machineOf(tools, request);
      return queue.change(view => nameNetwork(view, request.params.id, request.body));
    },
  );

  typed.post(
    '/v1/overlay/networks/:id/remove',
    {
      schema: {
        summary: 'Remove a network that no other host uses',
        tags,
        security,
        params: ById,
        response: {200: Nothing, ...errors},
      },
    },
    async request => {
      const {uuid} = await machineOf(tools, request);
      // Its own containers are the caller's to know.
      await queue.change(view => removeNetwork(view, request.params.id, uuid));
      return {};
    },
  );

  typed.post(
    '/v1/overlay/leases/claim',
    {
      schema: {
        summary: 'Claim a block of addresses of a network',
        tags,
        security,
        body: ClaimRequest,
        response: {200: OverlayLease, ...errors},
      },
    },
    async request => {
      const machine = await machineOf(tools, request);
      return queue.change((view, now) => claim(view, machine, request.body, now));
    },
  );

  typed.post(
    '/v1/overlay/leases/release',
    {
      schema: {
        summary: 'Give a block of addresses back',
        tags,
        security,
        body: ReleaseBlockRequest,
        response: {200: Nothing, ...errors},
      },
    },
    async request => {
      const machine = await machineOf(tools, request);
      await queue.change((view, now) => release(view, machine, request.body, now));
      return {};
    },
  );

  typed.post(
    '/v1/overlay/endpoints',
    {
      schema: {
        summary: 'Tell which containers this host has on a network',
        tags,
        security,
        body: EndpointsRequest,
        response: {200: Nothing, ...errors},
      },
    },
    async request => {
      const machine = await machineOf(tools, request);
      await queue.change(view => setEndpoints(view, machine, request.body));
      return {};
    },
  );

  app.get('/v1/overlay/watch', {schema: {hide: true}}, async (request, reply) => {
    await machineOf(tools, request);
    const view = tools.following.last();
    if (view === undefined || view.epoch === '')
      throw new AllocatorError('unreachable', 'the store has not been read yet', {remedy: 'try again'});
    return reply.type('application/x-ndjson').send(tools.hub.open(view));
  });
}
