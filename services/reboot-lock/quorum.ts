/** Whether a cluster keeps its majority while one more of its members is away. Pure. */
import type {ClusterFacts} from '../common/contracts/lock.ts';
import type {Holder} from './record.ts';

/** The votes that a cluster needs. */
export function quorum(members: number): number {
  return Math.floor(members / 2) + 1;
}

export function sameCluster(a: ClusterFacts, b: ClusterFacts): boolean {
  return a.kind === b.kind && a.cluster === b.cluster;
}

/**
 * Why this machine must not go down now, or undefined. Every other holder of the same cluster counts as down: whether
 * the machine's own count of healthy members includes it cannot be known, so it is taken off.
 */
export function quorumObstacle(
  facts: ClusterFacts,
  others: readonly Holder[],
  allowQuorumLoss: boolean,
): string | undefined {
  const {kind, cluster, members, healthy} = facts;
  const needed = quorum(members);
  const away = others.filter(holder => holder.clusters.some(theirs => sameCluster(theirs, facts)));
  const left = Math.min(healthy, members) - away.length - 1;
  if (left >= needed) return undefined;
  // A cluster of one or two never keeps its majority; larger ones are not given up by this switch.
  if (members <= 2) {
    if (allowQuorumLoss && away.length === 0) return undefined;
    if (!allowQuorumLoss) {
      return `${kind} cluster ${cluster} has ${members} member${members === 1 ? '' : 's'} and would lose its majority; set allowQuorumLoss for the group to update it all the same`;
    }
  }
  const names = away.map(holder => holder.name).join(', ');
  return `${kind} cluster ${cluster} needs ${needed} of ${members} members and would have ${Math.max(0, left)} (${healthy} answer${names === '' ? '' : `, ${names} away`})`;
}
