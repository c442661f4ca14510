/** What an operator's approval makes of a machine: its group, its disk, its permit. Pure. */
import {chooseDisk} from './disks.ts';
import {RackError} from './errors.ts';
import {explainGroups, type RackGroup, type Subject} from './groups.ts';
import {identityOfReport} from './identity.ts';
import type {RackRelease} from './ports.ts';
import type {RackMachine} from './record.ts';
import type {Happening} from './transitions.ts';

const PERMIT_LIFETIME_MS = 60 * 60 * 1000;

export interface ApprovalWish {
  readonly groups: readonly RackGroup[];
  /** In which the name was claimed. */
  readonly group: RackGroup;
  readonly name: string;
  readonly release: RackRelease;
  readonly permit: string;
  readonly by: string;
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The one group that takes the machine. Throws `no-group` or `ambiguous`. */
export function groupOf(machine: RackMachine, groups: readonly RackGroup[]): RackGroup {
  const {membership} = explainGroups(groups, subjectOf(machine));
  if (membership.kind === 'none')
    throw new RackError('no-group', 'no group of this rack takes the machine', {
      remedy: 'see hawser explain',
    });
  if (membership.kind === 'ambiguous')
    throw new RackError('ambiguous', `more than one group takes it: ${membership.groups.join(', ')}`, {
      remedy: 'make their selectors exclude each other',
    });
  return membership.group;
}

/** Throws `no-group`, `ambiguous`, `no-disk`, or `busy` when the machine has come to another group meanwhile. */
export function approval(machine: RackMachine, wish: ApprovalWish): Happening {
  const group = groupOf(machine, wish.groups);
  if (group.name !== wish.group.name)
    throw new RackError('busy', 'the machine has come to another group meanwhile', {remedy: 'try again'});
  const choice = chooseDisk(machine.report.disks, group.disk, machine.keepData);
  if (choice.kind !== 'one')
    throw new RackError('no-disk', choice.reason, {
      remedy: choice.findings
        .flatMap(({disk, against}) => against.map(why => `${disk.path}: ${why}`))
        .join('; '),
    });
  return {
    kind: 'approved',
    by: wish.by,
    fingerprint: wish.fingerprint,
    name: wish.name,
    group: group.name,
    permit: {
      id: wish.permit,
      disk: choice.disk,
      version: wish.release.version,
      rootHash: wish.release.rootHash,
      keepData: machine.keepData,
      encryption: group.encryption,
      expires: wish.at + PERMIT_LIFETIME_MS,
    },
  };
}

/** What the machine is told while it waits for an operator. */
export function seenReason(machine: RackMachine, groups: readonly RackGroup[]): string {
  const {membership} = explainGroups(groups, subjectOf(machine));
  if (membership.kind === 'none') return 'no group takes this machine yet';
  if (membership.kind === 'ambiguous') return `more than one group takes it: ${membership.groups.join(', ')}`;
  return `waits for approval (group ${membership.group.name})`;
}

/** What selectors look at: identity, hardware facts, and the operator's labels before them. */
export function subjectOf(machine: RackMachine): Subject {
  const {vendor, product, assetTag} = machine.report;
  const facts = Object.entries({vendor, product, asset: assetTag}).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return {...identityOfReport(machine.report), labels: {...Object.fromEntries(facts), ...machine.labels}};
}
