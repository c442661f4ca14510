/** Channels: what each offers, and promotion of a release to one. */
import {Type} from 'typebox';
import {Channel, ChannelName} from '../../common/contracts/policy.ts';
import {SemverText} from '../../common/contracts/release.ts';
import type {Routes} from '../plugin.ts';
import {Done, refusals} from './shared.ts';

const tags = ['channels'];
const Named = Type.Object({channel: ChannelName});

export const channelRoutes: Routes = (app, {service, operator}) => {
  const {operations, lookup, fleet} = service;
  app.get(
    '/v1/channels',
    {
      schema: {
        summary: 'All channels',
        tags,
        response: {200: Type.Object({channels: Type.Array(Channel)}), ...refusals},
      },
    },
    request => {
      operator(request, 'viewer');
      return {channels: [...fleet.channels.values()].sort((a, b) => (a.name < b.name ? -1 : 1))};
    },
  );
  app.put(
    '/v1/channels/:channel',
    {
      schema: {
        summary: 'Make a channel, or describe it anew',
        tags,
        params: Named,
        body: Type.Object(
          {description: Type.Optional(Type.String({maxLength: 1024}))},
          {additionalProperties: false},
        ),
        response: {200: Channel, ...refusals},
      },
    },
    async request => {
      const {channel} = request.params;
      await operations.setChannel(channel, request.body.description, operator(request, 'operator'));
      return lookup.channel(channel);
    },
  );
  app.post(
    '/v1/channels/:channel/promote',
    {
      schema: {
        summary: 'Offer a release to the groups that follow the channel: each begins a rollout',
        tags,
        params: Named,
        body: Type.Object({version: SemverText}, {additionalProperties: false}),
        response: {200: Channel, ...refusals},
      },
    },
    async request => {
      const by = operator(request, 'operator');
      const channel = await operations.promote(request.params.channel, request.body.version, by);
      // The rollouts have begun when the answer says so.
      await service.conductor.settle();
      return channel;
    },
  );
  app.delete(
    '/v1/channels/:channel',
    {schema: {summary: 'Remove a channel', tags, params: Named, response: {200: Done, ...refusals}}},
    async request => {
      await operations.removeChannel(request.params.channel, operator(request, 'operator'));
      return {};
    },
  );
};
