/** Which group a machine is in: the operator's word, else the groups' selectors over its labels. Pure. */
import type {Assignment, Group, GroupConfig} from '../common/contracts/policy.ts';

export type Membership =
  {readonly kind: 'in'; readonly group: string} | {readonly kind: 'none'; readonly problem: string};

/** A machine's labels with the operator's laid over them. */
export function effectiveLabels(
  reported: Readonly<Record<string, string>>,
  assignment: Assignment | undefined,
): Readonly<Record<string, string>> {
  return assignment?.labels === undefined ? reported : {...reported, ...assignment.labels};
}

/** A group without a selector takes the machines that carry its name as their `group` label. */
export function selectorOf(group: Pick<Group, 'name' | 'config'>): Readonly<Record<string, string>> {
  return group.config.selector ?? {group: group.name};
}

export function selects(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false;
  return true;
}

/**
 * The group of a machine. An empty selector takes those that no other group selects; a machine that several groups
 * select is in none of them, so that a slip in a selector cannot update machines twice over.
 */
export function membershipOf(
  labels: Readonly<Record<string, string>>,
  assigned: string | undefined,
  groups: ReadonlyMap<string, Group>,
): Membership {
  if (assigned !== undefined) {
    return groups.has(assigned)
      ? {kind: 'in', group: assigned}
      : {kind: 'none', problem: `assigned to the group ${assigned}, which does not exist`};
  }
  const chosen: string[] = [];
  const fallbacks: string[] = [];
  for (const group of groups.values()) {
    const selector = selectorOf(group);
    if (Object.keys(selector).length === 0) fallbacks.push(group.name);
    else if (selects(selector, labels)) chosen.push(group.name);
  }
  const candidates = chosen.length === 0 ? fallbacks : chosen;
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return {kind: 'in', group: only};
  if (only === undefined) return {kind: 'none', problem: 'no group selects this machine'};
  return {kind: 'none', problem: `several groups select this machine: ${candidates.sort().join(', ')}`};
}

/** The settings of a group with everything that was left out filled in. */
export function settingsOf(config: GroupConfig) {
  return {
    minShare: config.minShare ?? 1,
    soakSeconds: config.soakSeconds ?? 0,
    windows: config.windows ?? [],
    stopAfter: config.stopAfter ?? 1,
    deadlineSeconds: config.deadlineSeconds ?? 3600,
    pollSeconds: config.pollSeconds ?? 300,
    stageAhead: config.stageAhead ?? false,
  };
}
