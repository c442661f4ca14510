/** Roots: the first one, and the next one with other keys. */
import {Root, type Key} from '@tufjs/models';
import {Role as TufRole} from '@tufjs/models/dist/role.js';
import {ReleasesError} from './errors.ts';
import {roles, type Role} from './keys/key.ts';
import {expiry, type Lifetimes} from './lifetimes.ts';
import {specVersion} from './sign.ts';

/** Who may sign for a role, and how many must. */
export interface RoleKeys {
  readonly keys: readonly Key[];
  readonly threshold: number;
}

/** Version 1. Throws `bad-threshold`. */
export function firstRoot(wanted: Readonly<Record<Role, RoleKeys>>, now: Date, lifetimes: Lifetimes): Root {
  return makeRoot(1, wanted, now, lifetimes);
}

/** The root after `root`; `changed` replaces the keys of some roles, the rest and a fresh expiry stay. */
export function nextRoot(
  root: Root,
  changed: Partial<Readonly<Record<Role, RoleKeys>>>,
  now: Date,
  lifetimes: Lifetimes,
): Root {
  const wanted = {
    root: changed.root ?? roleKeys(root, 'root'),
    targets: changed.targets ?? roleKeys(root, 'targets'),
    snapshot: changed.snapshot ?? roleKeys(root, 'snapshot'),
    timestamp: changed.timestamp ?? roleKeys(root, 'timestamp'),
  };
  return makeRoot(root.version + 1, wanted, now, lifetimes);
}

/** The keys that a root trusts for a role. */
export function roleKeys(root: Root, role: Role): RoleKeys {
  const {keyIDs = [], threshold = 1} = root.roles[role] ?? {};
  return {keys: keyIDs.flatMap(id => root.keys[id] ?? []), threshold};
}

function makeRoot(
  version: number,
  wanted: Readonly<Record<Role, RoleKeys>>,
  now: Date,
  lifetimes: Lifetimes,
): Root {
  const keys: Record<string, Key> = {};
  const tufRoles: Record<string, TufRole> = {};
  for (const role of roles) {
    const {keys: own, threshold} = wanted[role];
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > own.length) {
      throw new ReleasesError(
        'bad-threshold',
        `${threshold} of ${own.length} ${role} keys cannot be asked for`,
        {
          remedy: 'the threshold is at least 1 and at most the number of keys',
        },
      );
    }
    for (const key of own) keys[key.keyID] = key;
    tufRoles[role] = new TufRole({keyIDs: own.map(key => key.keyID), threshold});
  }
  return new Root({
    version,
    specVersion,
    expires: expiry(now, lifetimes.root),
    keys,
    roles: tufRoles,
    consistentSnapshot: true,
  });
}
