/** Releases as the policy knows them; the signed manifests lie in the repository. */
import {Type} from 'typebox';
import {KnownRelease, ReleaseFacts} from '../../common/contracts/policy.ts';
import {SemverText} from '../../common/contracts/release.ts';
import {ServerError} from '../errors.ts';
import type {Routes} from '../plugin.ts';
import {Reason, refusals} from './shared.ts';

const tags = ['releases'];
const Named = Type.Object({version: SemverText});

export const releaseRoutes: Routes = (app, {service, operator}) => {
  const {operations, lookup, fleet} = service;
  app.get(
    '/v1/releases',
    {
      schema: {
        summary: 'All releases that the server knows',
        tags,
        response: {200: Type.Object({releases: Type.Array(KnownRelease)}), ...refusals},
      },
    },
    request => {
      operator(request, 'viewer');
      return {releases: [...fleet.releases.values()]};
    },
  );
  app.put(
    '/v1/releases/:version',
    {
      schema: {
        summary: 'Make a published release known',
        tags,
        params: Named,
        body: ReleaseFacts,
        response: {200: KnownRelease, ...refusals},
      },
    },
    async request => {
      const {version} = request.params;
      const by = operator(request, 'operator');
      if (request.body.version !== version)
        throw new ServerError('malformed', `the body is about ${request.body.version}, not ${version}`);
      await operations.registerRelease(request.body, by);
      return lookup.release(version);
    },
  );
  app.post(
    '/v1/releases/:version/withdraw',
    {
      schema: {
        summary: 'Withdraw a release: its rollouts stop, machines drop it unless they run it',
        tags,
        params: Named,
        body: Reason,
        response: {200: KnownRelease, ...refusals},
      },
    },
    async request => {
      const by = operator(request, 'operator');
      const {version} = request.params;
      await operations.withdraw(version, request.body.reason ?? `by ${by.name}`, by);
      await service.conductor.settle();
      return lookup.release(version);
    },
  );
};
