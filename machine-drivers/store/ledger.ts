/** The ledger of a machine, pure: entries in, what is known out. */
import {Type, type Static} from 'typebox';
import {parseJson} from '../../services/common/parse.ts';
import type {Resources} from '../driver.ts';
import {damaged} from './record.ts';

export const LedgerEntry = Type.Object({
  /** ISO 8601. */
  at: Type.String(),
  step: Type.String({minLength: 1}),
  /** `intent` is durable before the step touches the world, `done` after. */
  event: Type.Union([Type.Literal('intent'), Type.Literal('done')]),
  resources: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))),
});
export type LedgerEntry = Static<typeof LedgerEntry>;

/** The step that ends a creation. */
export const READY = 'ready';

export interface LedgerState {
  readonly done: ReadonlySet<string>;
  readonly intended: ReadonlySet<string>;
  /** Merged, newest last. */
  readonly resources: Resources;
  readonly finished: boolean;
}

export function foldLedger(entries: readonly LedgerEntry[]): LedgerState {
  const done = new Set<string>();
  const intended = new Set<string>();
  let resources: Resources = {};
  for (const entry of entries) {
    (entry.event === 'done' ? done : intended).add(entry.step);
    resources = {...resources, ...entry.resources};
  }
  return {done, intended, resources, finished: done.has(READY)};
}

export interface ParsedLedger {
  readonly entries: readonly LedgerEntry[];
  /** Bytes up to the end of the last whole line; what follows was cut short by a crash. */
  readonly wholeBytes: number;
}

/**
 * Reads the lines of a ledger. A last line without its newline is the trace of a crash during the write and is
 * left out: the step it spoke of is ensured again. Any other line that does not parse is damage.
 */
export function parseLedger(text: string, path: string): ParsedLedger {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const lines = whole.split('\n').slice(0, -1);
  const entries = lines.map((line, index) => {
    try {
      return parseJson(LedgerEntry, line, `line ${index + 1}`);
    } catch (error) {
      throw damaged(path, error);
    }
  });
  return {entries, wholeBytes: Buffer.byteLength(whole)};
}
