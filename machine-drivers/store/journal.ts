/** The ledger of one machine, open for writing: state in memory follows what is durable. */
import type {Clock} from '../../services/common/clock.ts';
import type {Resources} from '../driver.ts';
import {foldLedger} from './ledger.ts';
import type {LedgerEntry, LedgerState} from './ledger.ts';
import {appendLedger, readLedger} from './ledger-file.ts';

export interface Journal {
  state(): LedgerState;
  append(entry: LedgerEntry): Promise<void>;
}

/** Opens the ledger at `path`. The caller holds the machine's lock as long as it writes. */
export async function openJournal(path: string): Promise<Journal> {
  const parsed = await readLedger(path);
  const entries = [...parsed.entries];
  let end = parsed.wholeBytes;
  return {
    state: () => foldLedger(entries),
    append: async entry => {
      end = await appendLedger(path, end, entry);
      entries.push(entry);
    },
  };
}

/** Runs `work` as a step: its intent is durable before, its result after. */
export async function recordStep(
  journal: Journal,
  clock: Clock,
  step: string,
  work: () => Promise<Resources>,
): Promise<Resources> {
  await journal.append({at: clock.now().toISOString(), step, event: 'intent'});
  const resources = await work();
  await recordDone(journal, clock, step, resources);
  return resources;
}

/** What a step that is not done yet has made. Stands as a further intent, which carries resources as well. */
export async function recordNote(
  journal: Journal,
  clock: Clock,
  step: string,
  resources: Resources,
): Promise<void> {
  await journal.append({at: clock.now().toISOString(), step, event: 'intent', resources: {...resources}});
}

export async function recordDone(
  journal: Journal,
  clock: Clock,
  step: string,
  resources: Resources,
): Promise<void> {
  await journal.append({at: clock.now().toISOString(), step, event: 'done', resources: {...resources}});
}
