/** The operator's word over a rollout. */
import type {Operator} from '../../common/contracts/caller.ts';
import type {Rollout} from '../../common/contracts/policy.ts';
import {ServerError} from '../errors.ts';
import type {Fleet} from '../fleet.ts';
import {failuresIn} from '../rollout.ts';
import type {OperationTools} from './tools.ts';

export type RolloutVerb = 'pause' | 'resume' | 'abort';

export function rolloutOperations({fleet, changer, lookup}: OperationTools) {
  return {
    async changeRollout(group: string, verb: RolloutVerb, reason: string | undefined, by: Operator) {
      const said = reason === undefined ? {} : {detail: reason};
      return changer.edit<Rollout>({
        kind: 'rollouts',
        name: group,
        act: {by: by.name, action: `rollout-${verb}`, ...said},
        change: now => turn(lookup.rollout(group), verb, fleet, now, reason ?? `by ${by.name}`),
      });
    },
  };
}

function turn(rollout: Rollout, verb: RolloutVerb, fleet: Fleet, now: string, reason: string): Rollout {
  const {state} = rollout;
  const from = {pause: ['running'], resume: ['paused', 'stopped'], abort: ['running', 'paused', 'stopped']}[
    verb
  ];
  if (!from.includes(state)) {
    throw new ServerError('wrong-state', `the rollout of ${rollout.group} is ${state}`, {
      remedy: `only one that is ${from.join(' or ')} can be ${{pause: 'paused', resume: 'resumed', abort: 'aborted'}[verb]}`,
    });
  }
  if (verb === 'pause') return {...rollout, state: 'paused', reason, changedAt: now};
  if (verb === 'abort') return {...rollout, state: 'aborted', reason, changedAt: now};
  if (fleet.releases.get(rollout.version)?.withdrawn !== undefined) {
    throw new ServerError('withdrawn', `release ${rollout.version} is withdrawn`, {
      remedy: 'promote another release',
    });
  }
  const {reason: _, ...rest} = rollout;
  const failed = failuresIn(rollout.group, fleet, Date.parse(now));
  const forgiven = [...new Set([...rollout.forgiven, ...failed])].sort();
  return {...rest, state: 'running', forgiven, changedAt: now};
}
