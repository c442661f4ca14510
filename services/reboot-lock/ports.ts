/** What the lock needs from outside. */
import type {LockError} from './errors.ts';
import type {LockState} from './record.ts';
import type {Rules} from './semaphore.ts';
import type {Slots} from './slots.ts';

/** All groups as they stood at one revision of the store. */
export interface LockSnapshot {
  readonly revision: string;
  readonly groups: ReadonlyMap<string, GroupEntry>;
}

/** A group's value with the revision of its last change, or why it cannot be read. */
export type GroupEntry =
  | {readonly kind: 'readable'; readonly state: LockState; readonly revision: string}
  | {readonly kind: 'unreadable'; readonly error: LockError};

export interface AuditEntry {
  /** RFC 3339. */
  readonly at: string;
  readonly actor: string;
  readonly action: 'lock-released' | 'lock-freed-machine-gone' | 'lock-power-cycled';
  readonly group: string;
  readonly machine: string;
  readonly reason: string;
}

export interface LockChange {
  /** What was read; the change is made only if the group still stands as it did then. */
  readonly seen: LockSnapshot;
  readonly next: LockState;
  /** Also only if no other group changed since: for quorums of clusters that span groups. */
  readonly allGroups: boolean;
  /** Written by the same transaction. */
  readonly audit: readonly AuditEntry[];
}

/** Plain keys changed by compare-and-swap. Throws {@link LockError} `unreachable`. */
export interface LockStore {
  /** Linearizable. */
  read(): Promise<LockSnapshot>;
  /** The revision of the change, or undefined when others came first. */
  change(change: LockChange): Promise<string | undefined>;
}

/** How a group is treated. Groups belong to the update server. */
export interface GroupPolicy extends Omit<Rules, 'slots' | 'domainRule'> {
  readonly group: string;
  readonly slots: Slots;
  /** Machines in the group, for slots that are a share. */
  readonly machines: number;
  /** `one-at-a-time` when absent. */
  readonly domainRule?: Rules['domainRule'];
  /** FleetLock clients without certificates may name themselves in this group. */
  readonly legacy?: boolean;
  /** A hung holder may be power-cycled through the machine layer. */
  readonly powerCycle?: boolean;
}

/** How a machine is treated. */
export interface LockPolicy extends GroupPolicy {
  /** The failure domain of the machine. */
  readonly domain?: string | undefined;
}

export interface LockPolicies {
  /** Undefined for a machine that the server does not know. */
  ofMachine(uuid: string): Promise<LockPolicy | undefined>;
  ofGroup(group: string): Promise<GroupPolicy | undefined>;
}

/** A machine that came back on another version than it took the slot for. */
export interface UpdateFailure {
  readonly group: string;
  readonly machine: string;
  readonly name: string;
  readonly from: string | undefined;
  readonly to: string;
  readonly runs: string;
  /** Names the attempt: the same failure can be told twice. */
  readonly fence: string;
}

export interface LockEvents {
  /** Durable once it resolves: the slot is freed only then. May be told the same failure twice. */
  updateFailed(failure: UpdateFailure): Promise<void>;
}

export type MachineLayerState = 'running' | 'stopped' | 'gone' | 'unknown';

/** The machine layer, as far as it knows a machine. */
export interface MachineLayer {
  state(uuid: string): Promise<MachineLayerState>;
  powerCycle(uuid: string): Promise<void>;
}

/** The calls of pino that are used: a static message, data in fields. */
export interface LockLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
