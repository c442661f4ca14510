/** What the agent knows and has handed out, and how both get to disk. */
import type {Clock} from '../common/clock.ts';
import type {WatchLine} from '../common/contracts/overlay.ts';
import type {AgentLog, AgentStore} from './ports.ts';
import type {AgentRecord} from './record.ts';
import {FollowedState} from './state.ts';

/**
 * How long what a lost store held still counts after this host has said it again: until the others have done so too.
 * While this host could not yet say it, it counts for as long as that takes.
 */
const SETTLE_MS = 60_000;
const SAVE_STATE_MS = 1000;

export interface Memory {
  /** What is agreed; after the store was lost, with what was agreed before. */
  state(): FollowedState;
  record(): AgentRecord;
  /** The change counts at once; resolves when it is durable. */
  change(change: (record: AgentRecord) => AgentRecord): Promise<void>;
  take(line: WatchLine): void;
  /** What was agreed in a store that is gone by now, while this host has not said again what it has. */
  lost(): FollowedState | undefined;
  /** This host has said again what it had in `lost`. */
  said(lost: FollowedState): void;
  learn(record: Parameters<FollowedState['learn']>[0]): void;
  /** A network that this host removed in the cluster, or a block that it gives back, before the watch says so. */
  forget(gone: {readonly network: string; readonly block?: string}): void;
  /** Whether there is anything to go by at all. */
  known(): boolean;
  /** Whether the store was lost a moment ago. */
  settling(): boolean;
  flush(): Promise<void>;
}

export async function openMemory(
  store: AgentStore,
  clock: Clock,
  log: AgentLog,
  changed: () => void,
): Promise<Memory> {
  let record = await store.loadRecord();
  const stored = await store.loadState();
  let fresh = stored === undefined ? new FollowedState() : FollowedState.of(stored);
  let before: {readonly state: FollowedState; until?: number} | undefined;
  if (stored?.before !== undefined) before = {state: FollowedState.of(stored.before)};
  let saving: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const saveState = async (): Promise<void> => {
    timer = undefined;
    await store
      .saveState({
        ...fresh.stored(),
        ...(settling() && before !== undefined ? {before: before.state.stored()} : {}),
      })
      .catch((error: unknown) => log.error({err: error}, 'what is agreed could not be kept on disk'));
  };
  const settling = (): boolean => {
    if (before?.until !== undefined && clock.now().getTime() >= before.until) before = undefined;
    return before !== undefined;
  };
  const touched = (): void => {
    timer ??= setTimeout(() => void saveState(), SAVE_STATE_MS);
    changed();
  };
  return {
    state: () => (settling() && before !== undefined ? fresh.over(before.state) : fresh),
    record: () => record,
    change: change => {
      record = change(record);
      changed();
      // One write at a time, each with all that changed until it began.
      saving = saving.catch(() => undefined).then(() => store.saveRecord(record));
      return saving;
    },
    take: line => {
      if (line.kind === 'alive') return;
      if (line.kind === 'changes') fresh.take(line);
      else {
        const next = FollowedState.from(line);
        // Lost once more while it settled: what both held counts.
        if (fresh.isLostIn(next))
          before = {state: settling() && before !== undefined ? fresh.over(before.state) : fresh};
        fresh = next;
      }
      touched();
    },
    lost: () => (before?.until === undefined ? before?.state : undefined),
    said: lost => {
      if (before?.state !== lost) return;
      before.until = clock.now().getTime() + SETTLE_MS;
      touched();
    },
    learn: known => {
      fresh.learn(known);
      touched();
    },
    forget: ({network, block}) => {
      if (block === undefined) fresh.networks.delete(network);
      else fresh.leases.delete(`${network}/${block.replace('/', '-')}`);
      touched();
    },
    known: () => fresh.epoch !== '',
    settling,
    flush: async () => {
      clearTimeout(timer);
      await saveState();
      await saving.catch(() => undefined);
    },
  };
}
