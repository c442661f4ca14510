/** What operators see and do. */
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox';
import type {FastifyInstance} from 'fastify';
import {Type} from 'typebox';
import {ErrorAnswer} from '../common/contracts/fleet.ts';
import {CreateNetworkRequest, NetworkId, NetworkList, OverlayNetwork} from '../common/contracts/overlay.ts';
import {Uuid} from '../common/contracts/release.ts';
import {usableCount} from './blocks.ts';
import {operatorOf} from './callers.ts';
import {fieldOf, forgetMachine, heldCount, removeNetwork} from './decide.ts';
import {keyOf} from './keys.ts';
import {createNetwork} from './networks.ts';
import type {RouteTools} from './plugin.ts';
import type {OverlayView} from './view.ts';

const errors = {'4xx': ErrorAnswer, '5xx': ErrorAnswer};
const Nothing = Type.Object({});
const tags = ['networks'];
const security = [{token: []}];

export function operatorRoutes(app: FastifyInstance, tools: RouteTools): void {
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();
  const {queue} = tools;

  typed.get(
    '/v1/overlay/networks',
    {
      schema: {
        summary: 'All networks, who holds which addresses, and the hosts',
        tags,
        security,
        response: {200: NetworkList, ...errors},
      },
    },
    async request => {
      await operatorOf(tools, request, 'viewer');
      return queue.change((view, now) => ({
        result: listOf(view, now),
        writes: [],
        keys: [],
        prefixes: [],
      }));
    },
  );

  typed.put(
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
      const {name} = await operatorOf(tools, request, 'operator');
      return queue.change((view, now) => createNetwork(view, request.body, `operator ${name}`, now));
    },
  );

  typed.delete(
    '/v1/overlay/networks/:id',
    {
      schema: {
        summary: 'Remove a network that no host uses',
        tags,
        security,
        params: Type.Object({id: NetworkId}),
        response: {200: Nothing, ...errors},
      },
    },
    async request => {
      await operatorOf(tools, request, 'operator');
      await queue.change(view => removeNetwork(view, request.params.id));
      return {};
    },
  );

  typed.post(
    '/v1/overlay/gone',
    {
      schema: {
        summary: 'Free what a machine held that is gone',
        tags,
        security,
        body: Type.Object({machine: Uuid}),
        response: {200: Nothing, ...errors},
      },
    },
    async request => {
      await operatorOf(tools, request, 'operator');
      const {machine} = request.body;
      while ((await queue.change(view => forgetMachine(view, machine))).more);
      return {};
    },
  );
}

function listOf(view: OverlayView, now: Date): NetworkList {
  return {
    networks: [...view.networks.values()].map(network => {
      const field = fieldOf(view, network, now);
      return {
        network,
        held: heldCount(field),
        usable: usableCount(field),
        leases: [...view.leases.values()].filter(each => each.network === network.id),
        endpoints: [...view.endpoints.values()].filter(each => each.network === network.id),
      };
    }),
    hosts: [...view.hosts.values()].map(host => {
      const alive = view.alive.get(keyOf.alive(host.machine));
      return alive === undefined ? {host} : {host, alive};
    }),
    unreadable: [...view.unreadable].map(([key, why]) => ({key, why})),
    now: now.toISOString(),
  };
}
