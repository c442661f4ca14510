/** How the reboot lock treats groups and machines: read from the update server's fleet. */
import type {LockHolder} from '../../common/contracts/policy.ts';
import type {GroupPolicy, LockPolicies} from '../../reboot-lock/ports.ts';
import type {UpdateService} from '../../update-server/service.ts';

export function lockPolicies({fleet}: UpdateService): LockPolicies {
  const ofGroup = (name: string): GroupPolicy | undefined => {
    const group = fleet.groups.get(name);
    if (group === undefined) return undefined;
    const {slots = 1, domainRule, allowQuorumLoss = false, legacy, powerCycle} = group.config.lock ?? {};
    const halted = haltOf(name);
    return {
      group: name,
      slots: typeof slots === 'number' ? slots : `${Number.parseInt(slots, 10)}%`,
      machines: fleet.membersOf(name).size,
      allowQuorumLoss,
      ...(domainRule === undefined ? {} : {domainRule}),
      ...(legacy === undefined ? {} : {legacy}),
      ...(powerCycle === undefined ? {} : {powerCycle}),
      ...(halted === undefined ? {} : {halted}),
    };
  };
  const haltOf = (name: string): string | undefined => {
    const rollout = fleet.rollouts.get(name);
    if (rollout?.state !== 'stopped') return undefined;
    return `the rollout of ${rollout.version} stopped${rollout.reason === undefined ? '' : `: ${rollout.reason}`}`;
  };
  return {
    ofGroup: name => Promise.resolve(ofGroup(name)),
    ofMachine: uuid => {
      const machine = fleet.machines.get(uuid);
      if (machine?.membership.kind !== 'in') return Promise.resolve(undefined);
      const policy = ofGroup(machine.membership.group);
      if (policy === undefined) return Promise.resolve(undefined);
      const label = fleet.groups.get(policy.group)?.config.lock?.domain;
      const domain = label === undefined ? undefined : machine.labels[label];
      return Promise.resolve({...policy, ...(domain === undefined ? {} : {domain})});
    },
  };
}

/** The holders of all groups, as `fleet status` shows them. */
export function holdersOf(
  groups: readonly {
    readonly group: string;
    readonly holders: readonly {
      readonly machine: string;
      readonly phase: string;
      readonly since: string;
      readonly deadline: string;
      readonly overdue: boolean;
    }[];
  }[],
): LockHolder[] {
  return groups.flatMap(({group, holders}) =>
    holders.map(({machine, phase, since, deadline, overdue}) => ({
      group,
      machine,
      phase,
      since,
      deadline,
      overdue,
    })),
  );
}
