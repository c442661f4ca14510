/** Groups: which machines, which channel, and how they are updated. */
import {Type} from 'typebox';
import {GroupName} from '../../common/contracts/lock.ts';
import {Group, GroupConfig} from '../../common/contracts/policy.ts';
import type {Routes} from '../plugin.ts';
import {Done, refusals} from './shared.ts';

const tags = ['groups'];
const Named = Type.Object({group: GroupName});

export const groupRoutes: Routes = (app, {service, operator}) => {
  const {operations, lookup, fleet} = service;
  app.get(
    '/v1/groups',
    {
      schema: {
        summary: 'All groups',
        tags,
        response: {200: Type.Object({groups: Type.Array(Group)}), ...refusals},
      },
    },
    request => {
      operator(request, 'viewer');
      return {groups: [...fleet.groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1))};
    },
  );
  app.get(
    '/v1/groups/:group',
    {schema: {summary: 'One group', tags, params: Named, response: {200: Group, ...refusals}}},
    request => {
      operator(request, 'viewer');
      return lookup.group(request.params.group);
    },
  );
  app.put(
    '/v1/groups/:group',
    {
      schema: {
        summary: 'Make a group or replace its settings as a whole',
        tags,
        params: Named,
        body: GroupConfig,
        response: {200: Group, ...refusals},
      },
    },
    async request => {
      const {group} = request.params;
      await operations.setGroup(group, request.body, operator(request, 'operator'));
      await service.conductor.settle();
      return lookup.group(group);
    },
  );
  app.delete(
    '/v1/groups/:group',
    {schema: {summary: 'Remove a group', tags, params: Named, response: {200: Done, ...refusals}}},
    async request => {
      await operations.removeGroup(request.params.group, operator(request, 'operator'));
      return {};
    },
  );
};
