/** Names of the values in etcd, below {@link stateRoot}. */
import {stateRoot} from '../common/contracts/policy.ts';

export const kinds = [
  'assignments',
  'channels',
  'groups',
  'machines',
  'releases',
  'rollouts',
  'tokens',
] as const;
/** The kinds of values that every server keeps in memory; events, audit and locks are read when asked for. */
export type Kind = (typeof kinds)[number];

export function keyOf(kind: Kind | 'events' | 'audit', name: string): string {
  return `${stateRoot}${kind}/${name}`;
}

export function prefixOf(kind: Kind | 'events' | 'audit'): string {
  return keyOf(kind, '');
}

/** The kind and name of a key, or undefined for what is not kept in memory. */
export function splitKey(key: string): {readonly kind: Kind; readonly name: string} | undefined {
  if (!key.startsWith(stateRoot)) return undefined;
  const rest = key.slice(stateRoot.length);
  const slash = rest.indexOf('/');
  const kind = kinds.find(candidate => candidate === rest.slice(0, slash));
  return kind === undefined ? undefined : {kind, name: rest.slice(slash + 1)};
}

/** Padded, so that etcd's order of keys is the order of events. */
export function eventKey(uuid: string, sequence: number): string {
  return keyOf('events', `${uuid}/${String(sequence).padStart(16, '0')}`);
}
