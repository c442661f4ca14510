/** The form of the transition table: what each state answers to each event, and where that may lead. */
import type {MachinePhase} from '../common/contracts/fleet.ts';
import type {Command} from './commands.ts';
import type {EventKind, EventOf} from './events.ts';
import type {Policy, State, StateOf} from './states.ts';

export interface Step {
  readonly next: State;
  readonly commands: readonly Command[];
}

export interface Transition<Phase extends MachinePhase, Kind extends EventKind> {
  /** Every phase that `run` may lead to: the diagram is drawn from it, and `step` holds `run` to it. */
  readonly to: readonly MachinePhase[];
  // A method, so that the table can be looked up without knowing which state it is.
  run(state: StateOf<Phase>, event: EventOf<Kind>, policy: Policy): Step;
}

export type Row<Phase extends MachinePhase> = {readonly [Kind in EventKind]?: Transition<Phase, Kind>};
export type Table = {readonly [Phase in MachinePhase]: Row<Phase>};

export function go(next: State, ...commands: readonly Command[]): Step {
  return {next, commands};
}

/** Waits in the same state; `waitsFor` is what `hawser fleet status` shows. */
export function rest(state: State, wake: 'poll' | 'retry', waitsFor?: string): Step {
  return go(state, {do: 'rest', wake, ...(waitsFor === undefined ? {} : {waitsFor})});
}
