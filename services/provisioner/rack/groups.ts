/** Which group a machine belongs to, and why: the explanation is the result, whoever asks takes what he needs. Pure. */
import type {DiskWish} from './disks.ts';
import {normalizeMac, normalizeUuid, type Identity} from './identity.ts';

/** All kinds that are given have to fit; within a kind any one value does. */
export interface Selector {
  readonly mac?: readonly string[];
  readonly uuid?: readonly string[];
  readonly serial?: readonly string[];
  /** All of them. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface RackGroup {
  readonly name: string;
  /** Absent: the group of machines that no other takes. */
  readonly match?: Selector;
  /** `{n}` is the lowest number from 1 that is free. */
  readonly machineName: string;
  readonly disk: DiskWish;
  readonly encryption: 'none' | 'tpm2' | 'tpm2-if-present';
  /** Name of the configuration's source; absent for none of the operator's own. */
  readonly config?: string;
}

export interface Subject extends Identity {
  readonly labels: Readonly<Record<string, string>>;
}

export interface SelectorFinding {
  readonly kind: 'mac' | 'uuid' | 'serial' | 'labels';
  readonly wanted: readonly string[];
  readonly found: readonly string[];
  readonly fits: boolean;
}

export interface GroupFinding {
  readonly group: string;
  readonly fallback: boolean;
  readonly fits: boolean;
  readonly findings: readonly SelectorFinding[];
}

/** `ambiguous` names all that fit: none of them is taken. */
export type Membership =
  | {readonly kind: 'one'; readonly group: RackGroup}
  | {readonly kind: 'none'}
  | {readonly kind: 'ambiguous'; readonly groups: readonly string[]};

export interface Explanation {
  readonly membership: Membership;
  readonly groups: readonly GroupFinding[];
}

/** Looks at every group. */
export function explainGroups(groups: readonly RackGroup[], subject: Subject): Explanation {
  const findings = groups.map(group => findingOf(group, subject));
  const of = (fallback: boolean) => groups.filter((_, index) => isAmong(findings[index], fallback));
  const named = of(false);
  return {membership: membershipOf(named.length > 0 ? named : of(true)), groups: findings};
}

function isAmong(finding: GroupFinding | undefined, fallback: boolean): boolean {
  return finding?.fits === true && finding.fallback === fallback;
}

function membershipOf(fitting: readonly RackGroup[]): Membership {
  const [first, second] = fitting;
  if (first === undefined) return {kind: 'none'};
  if (second === undefined) return {kind: 'one', group: first};
  return {kind: 'ambiguous', groups: fitting.map(group => group.name)};
}

function findingOf({name, match}: RackGroup, subject: Subject): GroupFinding {
  if (match === undefined) return {group: name, fallback: true, fits: true, findings: []};
  const findings = selectorFindings(match, subject);
  // A selector that asks for nothing would take every machine.
  const fits = findings.length > 0 && findings.every(finding => finding.fits);
  return {group: name, fallback: false, fits, findings};
}

function selectorFindings({mac, uuid, serial, labels}: Selector, subject: Subject): SelectorFinding[] {
  const findings: SelectorFinding[] = [];
  const anyOf = (
    kind: SelectorFinding['kind'],
    wanted: readonly string[] | undefined,
    found: readonly string[],
    same: (text: string) => string,
  ) => {
    if (wanted === undefined) return;
    const fits = wanted.some(each => found.some(one => same(one) === same(each)));
    findings.push({kind, wanted, found, fits});
  };
  anyOf('mac', mac, subject.macs, text => normalizeMac(text) ?? text);
  anyOf('uuid', uuid, subject.uuid === undefined ? [] : [subject.uuid], text => normalizeUuid(text) ?? text);
  anyOf('serial', serial, subject.serial === undefined ? [] : [subject.serial], text =>
    text.trim().toLowerCase(),
  );
  if (labels !== undefined) {
    const pairs = Object.entries(labels);
    findings.push({
      kind: 'labels',
      wanted: pairs.map(([key, value]) => `${key}=${value}`),
      found: Object.entries(subject.labels).map(([key, value]) => `${key}=${value}`),
      fits: pairs.length > 0 && pairs.every(([key, value]) => hasLabel(subject.labels, key, value)),
    });
  }
  return findings;
}

function hasLabel(labels: Readonly<Record<string, string>>, key: string, value: string): boolean {
  return Object.entries(labels).some(
    ([name, held]) => name.toLowerCase() === key.toLowerCase() && held.toLowerCase() === value.toLowerCase(),
  );
}

/** The name of a new machine of a group; `taken` are the names that others have. */
export function nameFor({machineName}: RackGroup, taken: readonly string[]): string | undefined {
  if (!machineName.includes('{n}')) return taken.includes(machineName) ? undefined : machineName;
  for (let number = 1; ; number++) {
    const name = machineName.replaceAll('{n}', String(number));
    if (!taken.includes(name)) return name;
  }
}
