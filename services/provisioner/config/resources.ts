/** Butane's `inline` and `local` contents become `data:` URLs, compressed where that is shorter. */
import type {ButaneResource} from './butane-schema.ts';
import {errorAt, type CheckContext} from './check-context.ts';
import type {Resource} from './ignition-schema.ts';
import type {Gzip, LocalEntry, ReadLocal} from './ports.ts';
import {localPathProblem} from './rules.ts';
import {dataUrl} from './urls.ts';

export interface TranslateContext extends CheckContext {
  readonly readLocal: ReadLocal | undefined;
  readonly gzip: Gzip | undefined;
}

/** The resource as Ignition has it, with the places of the original. */
export function translateResource(from: ButaneResource, context: TranslateContext): Resource {
  const {inline, local, ...rest} = from;
  const given = (['source', 'inline', 'local'] as const).filter(name => from[name] !== undefined);
  const last = given.at(-1);
  if (given.length > 1 && last !== undefined) {
    errorAt(context, from, last, `only one of ${given.join(', ')} can be given`);
  }
  const to = context.marks.carry(from, {...rest});
  const bytes = inline === undefined ? localBytes(from, context) : new TextEncoder().encode(inline);
  if (bytes === undefined) return local === undefined ? to : {...to, source: ''};
  return context.marks.carry(from, packed(to, bytes, context.gzip));
}

function localBytes(from: ButaneResource, context: TranslateContext): Uint8Array | undefined {
  if (from.local === undefined) return undefined;
  const entry = readLocal(from.local, context);
  if (entry.kind === 'file') return entry.bytes;
  const reason = entry.kind === 'unavailable' ? entry.reason : `"${from.local}" is not a file`;
  errorAt(context, from, 'local', reason);
  return undefined;
}

/** What stands at a local path of the config. */
export function readLocal(path: string, context: TranslateContext): LocalEntry {
  const problem = localPathProblem(path);
  if (problem !== undefined) return {kind: 'unavailable', reason: problem};
  if (context.readLocal === undefined) {
    return {kind: 'unavailable', reason: 'local files need the directory that they are in: give --files-dir'};
  }
  return context.readLocal(path, true);
}

/**
 * `resource` with `bytes` as its contents. Compression is always written, also as "" for none: a config merged
 * over another would inherit the other's otherwise.
 */
export function packed(resource: Resource, bytes: Uint8Array, gzip: Gzip | undefined): Resource {
  const plain = dataUrl(bytes);
  if ((resource.compression ?? '') !== '') return {...resource, source: plain};
  if (gzip === undefined || plain.length < MIN_COMPRESSED)
    return {...resource, source: plain, compression: ''};
  const compressed = dataUrl(gzip(bytes));
  return compressed.length + 'gzip'.length < plain.length
    ? {...resource, source: compressed, compression: 'gzip'}
    : {...resource, source: plain, compression: ''};
}

/** A gzip file is never shorter than this as a URL. */
const MIN_COMPRESSED = 64;
