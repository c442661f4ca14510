/** Operators' changes of single values: read, changed and written by compare-and-swap, with an audit record. */
import {randomBytes} from 'node:crypto';
import type {Clock} from '../common/clock.ts';
import type {AuditRecord} from '../common/contracts/audit.ts';
import {STATE_SCHEMA} from '../common/contracts/policy.ts';
import {encode} from './codec.ts';
import {ServerError} from './errors.ts';
import type {Fleet} from './fleet.ts';
import {keyOf, type Kind} from './keys.ts';
import type {Store, Write} from './ports.ts';

const ATTEMPTS = 8;

export interface Act {
  readonly by: string;
  /** Low-cardinality, for instance `rollout-paused`. */
  readonly action: string;
  readonly detail?: string;
}

export interface Edit<Value extends object> {
  readonly kind: Kind;
  readonly name: string;
  /** The new value, or undefined to delete; may throw. Called again when somebody else was faster. */
  readonly change: (now: string) => Value | undefined;
  readonly act: Act;
}

export interface Changer {
  /** Throws `newer-schema`, `damaged-value`, `conflict`, `store-unavailable`, or what `change` throws. */
  edit<Value extends object>(edit: Edit<Value>): Promise<Value | undefined>;
}

export function createChanger(
  store: Store,
  fleet: Fleet,
  clock: Clock,
  touched: (groups: Iterable<string>) => void,
): Changer {
  return {
    edit: async ({kind, name, change, act}) => {
      const key = keyOf(kind, name);
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        fleet.checkReadable(kind, name);
        const expect = fleet.revisionOf(kind, name);
        const at = clock.now().toISOString();
        const next = change(at);
        const write: Write =
          next === undefined ? {key, delete: true, expect} : {key, value: encode(next), expect};
        const revision = await store.commit([write, auditOf(act, `${kind}/${name}`, at)]);
        if (revision !== undefined) {
          const value = next === undefined ? {} : {value: encode(next)};
          touched(fleet.apply({key, ...value, revision}));
          return next;
        }
        const entry = await store.get(key);
        // Gone since: the watch tells it too, but this attempt must not see the old value again.
        touched(fleet.apply(entry ?? {key, revision: expect + 1n}));
      }
      throw new ServerError('conflict', `${key} is being changed by others`, {remedy: 'try again'});
    },
  };
}

function auditOf({by, action, detail}: Act, subject: string, at: string): Write {
  const id = randomBytes(4).toString('hex');
  const record: AuditRecord = {
    schema: STATE_SCHEMA,
    at,
    by,
    action,
    subject,
    ...(detail === undefined ? {} : {detail}),
  };
  return {key: keyOf('audit', `${at}-${id}`), value: encode(record)};
}
