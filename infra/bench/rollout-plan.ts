/** The rollout that is measured: its plan, how long its steps take, and the least time that such a plan can take. Pure. */
import type {GroupConfig} from '../../services/common/contracts/policy.ts';

export interface RolloutPlan {
  readonly machines: number;
  /** Machines out of service at a time. */
  readonly slots: number;
  /** Machines of each wave: the first by number, the second by share, then the rest. */
  readonly waves: readonly [number, number, number];
  readonly soakSeconds: number;
  readonly pollSeconds: number;
}

/** Seconds of the steps of one machine. Only the first is spent in service. */
export const steps = {stage: 60, drain: 20, reboot: 60, prove: 30, return: 10} as const;
export const outSeconds = steps.drain + steps.reboot + steps.prove + steps.return;

/** Ten canaries, a tenth of the fleet, the rest; a tenth may be away; all must be healthy, five minutes before the next. */
export function planFor(machines: number): RolloutPlan {
  const tenth = Math.floor(machines / 10);
  return {
    machines,
    slots: tenth,
    waves: [10, tenth - 10, machines - tenth],
    soakSeconds: 300,
    pollSeconds: 300,
  };
}

export function groupConfig({slots, soakSeconds, pollSeconds, waves: [canaries]}: RolloutPlan): GroupConfig {
  return {
    channel: 'stable',
    selector: {},
    waves: [{machines: canaries}, {share: 10}],
    minShare: 1,
    soakSeconds,
    pollSeconds,
    lock: {slots},
  };
}

/**
 * Were every machine to know at once what it may do: each wave stages, then goes through the slots in as many rounds as
 * it must, and the soaks lie between.
 */
export function minimumSeconds({waves, slots, soakSeconds}: RolloutPlan): number {
  const ofWaves = waves.map(machines => steps.stage + Math.ceil(machines / slots) * outSeconds);
  return ofWaves.reduce((sum, seconds) => sum + seconds, 0) + (waves.length - 1) * soakSeconds;
}
