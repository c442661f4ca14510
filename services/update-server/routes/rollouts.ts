/** Rollouts: how far each group has come, and the operator's word over it. */
import {Type} from 'typebox';
import {GroupName} from '../../common/contracts/lock.ts';
import {RolloutSummary} from '../../common/contracts/policy.ts';
import type {Routes} from '../plugin.ts';
import {summaryOf} from '../status.ts';
import {Reason, refusals} from './shared.ts';

const tags = ['rollouts'];
const Named = Type.Object({group: GroupName});
const verbs = {
  pause: 'No further machine updates; those that are out of service finish',
  resume: 'Go on; failures known by now do not stop it again',
  abort: 'End it for good: machines drop what they have staged',
} as const;

export const rolloutRoutes: Routes = (app, {service, operator}) => {
  const {operations, lookup, fleet} = service;
  const summary = async (group: string) =>
    summaryOf(lookup.rollout(group), fleet, (await service.statusInput()).now);
  app.get(
    '/v1/rollouts',
    {
      schema: {
        summary: 'The current rollout of each group',
        tags,
        response: {200: Type.Object({rollouts: Type.Array(RolloutSummary)}), ...refusals},
      },
    },
    async request => {
      operator(request, 'viewer');
      return {rollouts: await Promise.all([...fleet.rollouts.keys()].sort().map(summary))};
    },
  );
  app.get(
    '/v1/rollouts/:group',
    {schema: {summary: 'One rollout', tags, params: Named, response: {200: RolloutSummary, ...refusals}}},
    async request => {
      operator(request, 'viewer');
      return summary(request.params.group);
    },
  );
  for (const verb of ['pause', 'resume', 'abort'] as const) {
    app.post(
      `/v1/rollouts/:group/${verb}`,
      {
        schema: {
          summary: verbs[verb],
          tags,
          params: Named,
          body: Reason,
          response: {200: RolloutSummary, ...refusals},
        },
      },
      async request => {
        const by = operator(request, 'operator');
        const {group} = request.params;
        await operations.changeRollout(group, verb, request.body.reason, by);
        await service.conductor.settle();
        return summary(group);
      },
    );
  }
};
