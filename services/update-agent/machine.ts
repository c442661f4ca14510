/**
 * What happens next in an update. `step` takes a state and what came back from the outside, and says what to do: data
 * in, data out. The states are rebuilt by recover.ts at the start of every run.
 */
import {UpdateAgentError} from './errors.ts';
import type {AgentEvent, EventKind} from './events.ts';
import {fallenBackRow, provingRow, returningRow} from './machine-after.ts';
import {drainingRow, lockingRow, rebootingRow} from './machine-apply.ts';
import {fetchingRow, idleRow} from './machine-offer.ts';
import {stagedRow} from './machine-staged.ts';
import type {Policy, State} from './states.ts';
import type {Step, Table, Transition} from './transition.ts';
import type {MachinePhase} from '../common/contracts/fleet.ts';

export const transitions: Table = {
  idle: idleRow,
  fetching: fetchingRow,
  staged: stagedRow,
  locking: lockingRow,
  draining: drainingRow,
  rebooting: rebootingRow,
  proving: provingRow,
  returning: returningRow,
  'fell-back': fallenBackRow,
};

/**
 * The next state and what to do. Throws {@link UpdateAgentError} `illegal-transition` for an event that cannot come in
 * this state; `undeclared-transition` would be an error of the table itself.
 */
export function step(state: State, event: AgentEvent, policy: Policy): Step {
  const transition: Transition<MachinePhase, EventKind> | undefined = transitions[state.phase][event.kind];
  if (transition === undefined) {
    throw new UpdateAgentError('illegal-transition', `${event.kind} cannot come while ${state.phase}`);
  }
  const taken = transition.run(state, event, policy);
  if (!transition.to.includes(taken.next.phase)) {
    throw new UpdateAgentError(
      'undeclared-transition',
      `${event.kind} led from ${state.phase} to ${taken.next.phase}, which the table does not say`,
    );
  }
  return taken;
}
