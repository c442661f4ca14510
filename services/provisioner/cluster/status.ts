/** A cluster as it is now, each member asked by itself: one that does not answer is a line, not the end. */
import {describeError} from '../../common/errors.ts';
import {observeMachine} from './observe.ts';
import type {MachineFacts} from './plan.ts';
import type {ClusterRuntime} from './ports.ts';
import type {ClusterRecord} from './record.ts';

export interface MemberStatus {
  readonly name: string;
  readonly address: string;
  /** `healthy`, `learner`, `unhealthy`, `stopped`, `absent` or `unknown`. */
  readonly etcd: string;
  /** `manager`, `unreachable`, `inactive`, ... or `unknown`. */
  readonly swarm: string;
  /** Why nothing is known. */
  readonly problem?: string;
}

export interface ClusterStatus {
  readonly name: string;
  readonly members: readonly MemberStatus[];
  readonly well: boolean;
}

export async function clusterStatus(record: ClusterRecord, runtime: ClusterRuntime): Promise<ClusterStatus> {
  const authority = await runtime.authority(record.name);
  const seen = await Promise.all(
    record.members.map(async member => {
      try {
        return {member, facts: await observeMachine(await runtime.machine(member.name), authority)};
      } catch (error) {
        return {member, problem: describeError(error)};
      }
    }),
  );
  const all = seen.flatMap(({facts}) => (facts === undefined ? [] : [facts]));
  const members = seen.map(({member: {name, address}, facts, problem}): MemberStatus => {
    if (facts === undefined)
      return {name, address, etcd: 'unknown', swarm: 'unknown', problem: problem ?? ''};
    return {name, address, etcd: etcdState(facts, name), swarm: swarmState(facts, all)};
  });
  const well = members.every(({etcd, swarm}) => etcd === 'healthy' && swarm === 'manager');
  return {name: record.name, members, well};
}

function etcdState(facts: MachineFacts, name: string): string {
  if (facts.config === undefined) return 'absent';
  if (!facts.running) return 'stopped';
  if (facts.members?.find(member => member.name === name)?.learner === true) return 'learner';
  return facts.healthy ? 'healthy' : 'unhealthy';
}

/** A manager counts when every manager that answers can reach it. */
function swarmState(facts: MachineFacts, all: readonly MachineFacts[]): string {
  const {swarm} = facts;
  if (swarm.state !== 'active') return swarm.state;
  if (!swarm.manager) return 'worker';
  const managers = all.filter(other => other.swarm.manager);
  return managers.every(other => other.swarm.reachable.includes(swarm.nodeId)) ? 'manager' : 'unreachable';
}

/** One line a member, in columns. */
export function renderStatus(status: ClusterStatus): string[] {
  const rows = [
    ['MEMBER', 'ADDRESS', 'ETCD', 'SWARM', ''],
    ...status.members.map(({name, address, etcd, swarm, problem}) => [
      name,
      address,
      etcd,
      swarm,
      problem ?? '',
    ]),
  ];
  const width = (column: number) => Math.max(...rows.map(row => row[column]?.length ?? 0));
  const lines = rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(width(column)))
      .join('  ')
      .trimEnd(),
  );
  return [`${status.name}: ${status.well ? 'well' : 'not well'}`, ...lines];
}
