/** Whether the machine is well: what is observed, held against how it was before the update. Pure. */
import {Type, type Static} from 'typebox';

export const Observation = Type.Object({
  /** Units that systemd calls failed. */
  failedUnits: Type.Array(Type.String()),
  docker: Type.Boolean(),
  /** Names of running containers that are to come back by themselves. Swarm's tasks are not: they may be elsewhere. */
  containers: Type.Array(Type.String()),
  /** Absent on machines that are no member. */
  etcd: Type.Optional(Type.Boolean()),
  /** Whether there is a route out of the machine. */
  network: Type.Boolean(),
  /** Whether the clock is set: not before the image was built. */
  clock: Type.Boolean(),
});
export type Observation = Static<typeof Observation>;

export interface OperatorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** The baseline of a machine of which none was taken: everything that can be asked of any machine. */
export const noBaseline: Observation = {
  failedUnits: [],
  docker: true,
  containers: [],
  network: true,
  clock: true,
};

/** What is wrong now and was not before, in words; empty for a healthy machine. The operator's checks have no baseline. */
export function judge(before: Observation, now: Observation, checks: readonly OperatorCheck[]): string[] {
  const problems = now.failedUnits
    .filter(unit => !before.failedUnits.includes(unit))
    .map(unit => `the unit ${unit} has failed`);
  if (before.docker && !now.docker) problems.push('Docker does not answer');
  for (const name of before.containers) {
    if (now.docker && !now.containers.includes(name)) problems.push(`the container ${name} does not run`);
  }
  if (before.etcd === true && now.etcd !== true) problems.push('the etcd member is not healthy');
  if (before.network && !now.network) problems.push('there is no route to the network');
  if (before.clock && !now.clock) problems.push('the clock is before the time at which the image was built');
  for (const {name, ok, detail} of checks) if (!ok) problems.push(`the check ${name} failed: ${detail}`);
  return problems;
}
