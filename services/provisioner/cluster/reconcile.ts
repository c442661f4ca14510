/** Look, plan, do, look again, until the cluster stands. */
import {withStep, type Progress} from '../../common/progress.ts';
import {ClusterError} from './errors.ts';
import {describeStep, executeStep} from './execute.ts';
import {observeMachine} from './observe.ts';
import {planCluster, type MachineFacts, type Plan, type Step} from './plan.ts';
import type {ClusterMachine, ClusterRuntime, MemberAuthority} from './ports.ts';
import type {ClusterRecord} from './record.ts';

const PAUSE_MS = 2000;

export interface Reconciliation {
  readonly runtime: ClusterRuntime;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly timeoutSeconds: number;
}

/** Makes the cluster what its record says. Throws `late` with what is still missing when the time is up. */
export async function reconcile(given: ClusterRecord, how: Reconciliation): Promise<ClusterRecord> {
  const {runtime, progress, signal} = how;
  const {clock, store} = runtime;
  const deadline = clock.now().getTime() + how.timeoutSeconds * 1000;
  const authority = await runtime.authority(given.name);
  const machines = await openMachines(given, runtime);
  const machine = (uuid: string): ClusterMachine => {
    const found = machines.get(uuid);
    if (found === undefined) throw new ClusterError('unreachable', `no machine ${uuid}`);
    return found;
  };
  let record = given;
  for (;;) {
    const {steps, waitsFor} = await look(record, machines, authority);
    if (steps.length === 0 && waitsFor.length === 0) return record;
    for (const group of parallelGroups(steps)) {
      stopIfInterrupted(signal);
      const save = (next: ClusterRecord) => store.write(next);
      const done = await Promise.all(
        group.map(step =>
          withStep(
            progress,
            describeStep(step, uuid => machine(uuid).name),
            () => executeStep(step, {record, authority, machine, save}),
          ),
        ),
      );
      record = done.at(-1) ?? record;
    }
    if (clock.now().getTime() >= deadline)
      throw new ClusterError('late', `the cluster does not stand after ${how.timeoutSeconds} s`, {
        remedy: `it waits for ${waitsFor.join(', ') || 'its last steps'}; run the same command again to go on`,
      });
    if (steps.length === 0 || steps.some(step => step.kind === 'etcd-promote' || step.kind === 'swarm-join'))
      await clock.sleep(PAUSE_MS, signal).catch(() => stopIfInterrupted(signal));
    stopIfInterrupted(signal);
  }
}

/** Every member's facts, asked at the same time. */
export async function observeAll(
  machines: ReadonlyMap<string, ClusterMachine>,
  authority: MemberAuthority,
): Promise<MachineFacts[]> {
  return Promise.all([...machines.values()].map(machine => observeMachine(machine, authority)));
}

async function look(
  record: ClusterRecord,
  machines: ReadonlyMap<string, ClusterMachine>,
  authority: MemberAuthority,
): Promise<Plan> {
  return planCluster(record, await observeAll(machines, authority));
}

export async function openMachines(
  record: ClusterRecord,
  runtime: ClusterRuntime,
): Promise<Map<string, ClusterMachine>> {
  const opened = await Promise.all(
    record.members.map(async member => {
      const machine = await runtime.machine(member.name);
      if (machine.uuid === member.uuid) return machine;
      throw new ClusterError('foreign', `"${member.name}" is not the machine that joined the cluster`, {
        remedy: 'a machine of that name was made anew; the cluster knows the old one',
      });
    }),
  );
  return new Map(opened.map(machine => [machine.uuid, machine]));
}

/** Steps of one kind on different machines go at the same time; the order of kinds stays. */
function parallelGroups(steps: readonly Step[]): Step[][] {
  const parallel: readonly Step['kind'][] = ['certificate', 'docker-config', 'etcd-config', 'etcd-start'];
  const groups = new Map<string, Step[]>();
  for (const [index, step] of steps.entries()) {
    const key = parallel.includes(step.kind) ? step.kind : `${step.kind} ${index}`;
    groups.set(key, [...(groups.get(key) ?? []), step]);
  }
  return [...groups.values()];
}

function stopIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new ClusterError('interrupted', 'interrupted');
}
