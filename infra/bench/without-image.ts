/** The parts of the benchmark that need no image: reboot lock, machine layer, update server. */
import {withStep, type Progress} from '../../services/common/progress.ts';
import {lockBench, measureLock, renderLock, type LockFigures} from './lock.ts';
import {measureMachines, renderMachines, type MachineFigures} from './machines.ts';
import type {Part} from './options.ts';
import {measurePolls, pollsBench, renderPolls, type PollsFigures} from './polls.ts';
import {measureRollout, renderRollout, rolloutBench, type RolloutFigures} from './rollout.ts';

/** Filled as the run goes. */
export interface WithoutImage {
  lock?: {hawser: LockFigures; airlock: LockFigures};
  machines?: MachineFigures;
  polls?: PollsFigures;
  rollout?: RolloutFigures;
}

export async function measureWithoutImage(
  parts: readonly Part[],
  collected: WithoutImage,
  {progress, cache, signal}: {progress: Progress; cache: string; signal: AbortSignal},
): Promise<void> {
  if (parts.includes('lock')) {
    collected.lock = await withStep(progress, 'reboot lock beside airlock', () =>
      measureLock(lockBench, signal),
    );
  }
  if (parts.includes('machines'))
    collected.machines = await withStep(progress, 'the machine layer itself', () => measureMachines());
  if (parts.includes('polls')) {
    collected.polls = await withStep(progress, 'polls beside Nebraska', () =>
      measurePolls(pollsBench, cache, signal),
    );
  }
  if (parts.includes('rollout')) {
    collected.rollout = await withStep(progress, `rollout of ${rolloutBench.machines} machines`, () =>
      measureRollout(rolloutBench, signal),
    );
  }
}

/** The lines of the report. */
export function renderWithoutImage({lock, machines, polls, rollout}: WithoutImage): string[] {
  return [
    ...(lock === undefined ? [] : renderLock(lock)),
    ...(machines === undefined ? [] : renderMachines(machines)),
    ...(polls === undefined ? [] : renderPolls(polls)),
    ...(rollout === undefined ? [] : renderRollout(rollout)),
  ];
}
