/** Decides afterwards whether the lock kept its promises. Pure; every rule is shown to fail by a planted violation. */
import type {History, MachineRecord, Write} from './history.ts';

export interface Verdict {
  readonly violations: readonly string[];
  readonly figures: {
    readonly grants: number;
    readonly releases: number;
    readonly updates: number;
    readonly crashes: number;
    readonly faultAnswers: number;
    readonly refusals: number;
    /** The most machines that were out of service under the lock at one time. */
    readonly mostAway: number;
    /** Of the machines, the fewest and the most slots given back. */
    readonly turns: string;
  };
}

export function check(history: History): Verdict {
  const {writes, records, slots} = history;
  const count = (kind: MachineRecord['kind']) => records.filter(record => record.kind === kind).length;
  const away = mostAway(records);
  const grants = grantsOf(writes);
  const turns = [...turnsOf(records).values()];
  const violations = [
    ...writes.flatMap(write => checkWrite(write, slots)),
    ...checkFences(writes),
    ...(away.most > slots ? [`${away.most} machines were away at ${away.at}, ${slots} may be`] : []),
    ...checkGrants(records, grants),
    ...checkRemovals(writes, records),
    ...checkOrder(records),
    ...checkEnd(writes),
    ...checkTurns(records, grants.size),
  ];
  return {
    violations,
    figures: {
      grants: grants.size,
      releases: count('released'),
      updates: count('updated'),
      crashes: count('crashed'),
      faultAnswers: count('fault'),
      refusals: count('refused'),
      mostAway: away.most,
      turns: `${Math.min(...turns)} to ${Math.max(...turns)}`,
    },
  };
}

/** Never more holders than slots, never two of one slot. */
function checkWrite({revision, holders}: Write, slots: number): string[] {
  const problems: string[] = [];
  if (holders.length > slots)
    problems.push(`revision ${revision}: ${holders.length} holders of ${slots} slots`);
  if (new Set(holders.map(({slot}) => slot)).size < holders.length)
    problems.push(`revision ${revision}: two holders of one slot`);
  if (new Set(holders.map(({machine}) => machine)).size < holders.length)
    problems.push(`revision ${revision}: a machine holds two slots`);
  if (holders.some(({slot}) => slot < 1 || slot > slots))
    problems.push(`revision ${revision}: a slot beyond ${slots}`);
  return problems;
}

/** A fence is the revision of its grant, stays with the holder, and grows from grant to grant. */
function checkFences(writes: readonly Write[]): string[] {
  const problems: string[] = [];
  let before = new Map<string, string>();
  let highest = 0n;
  for (const {revision, holders} of writes) {
    const now = new Map<string, string>();
    for (const {machine, fence = revision} of holders) {
      now.set(machine, fence);
      const known = before.get(machine);
      if (known === fence) continue;
      if (fence !== revision)
        problems.push(`revision ${revision}: ${machine} has fence ${fence}, not of this grant`);
      else if (known !== undefined)
        problems.push(`revision ${revision}: ${machine} was granted again over ${known}`);
      if (BigInt(fence) <= highest && fence !== revision) problems.push(`fence ${fence} after ${highest}`);
    }
    if (BigInt(revision) <= highest) problems.push(`revision ${revision} after ${highest}`);
    highest = BigInt(revision);
    before = now;
  }
  return problems;
}

function grantsOf(writes: readonly Write[]): ReadonlySet<string> {
  return new Set(
    writes.flatMap(({revision, holders}) =>
      holders.map(({machine, fence}) => `${machine} ${fence ?? revision}`),
    ),
  );
}

/** What a machine was told is in the store; until it gives a slot back, it gets the same one. */
function checkGrants(records: readonly MachineRecord[], grants: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  const held = new Map<string, string>();
  for (const {kind, machine, fence} of records) {
    if (kind === 'release-sent') held.delete(machine);
    if (kind !== 'granted' || fence === undefined) continue;
    if (!grants.has(`${machine} ${fence}`))
      problems.push(`${machine} was told of fence ${fence}, which the store never had`);
    const known = held.get(machine);
    if (known !== undefined && known !== fence)
      problems.push(`${machine} held fence ${known} and was granted ${fence}: the first grant was forgotten`);
    held.set(machine, fence);
  }
  return problems;
}

/** No slot goes away unless its machine gave it back. */
function checkRemovals(writes: readonly Write[], records: readonly MachineRecord[]): string[] {
  const sent = new Map<string, number>();
  for (const {kind, machine} of records) {
    if (kind === 'release-sent') sent.set(machine, (sent.get(machine) ?? 0) + 1);
  }
  const problems: string[] = [];
  const removed = new Map<string, number>();
  let before: Write['holders'] = [];
  for (const {revision, holders} of writes) {
    for (const {machine} of before) {
      if (holders.some(holder => holder.machine === machine)) continue;
      const times = (removed.get(machine) ?? 0) + 1;
      removed.set(machine, times);
      if (times > (sent.get(machine) ?? 0))
        problems.push(`revision ${revision}: the slot of ${machine} was lost`);
    }
    before = holders;
  }
  return problems;
}

/** A machine goes away only under a grant, and gives its slot back only when it is in service. */
function checkOrder(records: readonly MachineRecord[]): string[] {
  const problems: string[] = [];
  const granted = new Set<string>();
  const away = new Set<string>();
  for (const {at, kind, machine} of records) {
    if (kind === 'granted') granted.add(machine);
    if (kind === 'away') {
      if (!granted.has(machine)) problems.push(`${machine} went away at ${at} without a slot`);
      away.add(machine);
    }
    if (kind === 'back') away.delete(machine);
    if (kind === 'release-sent') {
      if (away.has(machine)) problems.push(`${machine} gave its slot back at ${at} while it was away`);
      granted.delete(machine);
    }
  }
  return problems;
}

/** When all has healed and nobody wants anything, nothing is held. */
function checkEnd(writes: readonly Write[]): string[] {
  return (writes.at(-1)?.holders ?? []).map(({machine}) => `${machine} holds its slot at the end`);
}

/** In a run that is long enough for each machine to have had its turn many times, each had one. */
function checkTurns(records: readonly MachineRecord[], grants: number): string[] {
  const turns = turnsOf(records);
  if (grants < turns.size * 20) return [];
  return [...turns].flatMap(([machine, times]) => (times === 0 ? [`${machine} never had its turn`] : []));
}

function turnsOf(records: readonly MachineRecord[]): ReadonlyMap<string, number> {
  const turns = new Map<string, number>();
  for (const {machine, kind} of records) {
    turns.set(machine, (turns.get(machine) ?? 0) + (kind === 'released' ? 1 : 0));
  }
  return turns;
}

/** Intervals between `away` and `back`, swept over time; a machine that is away twice without coming back counts once. */
function mostAway(records: readonly MachineRecord[]): {most: number; at: number} {
  const away = new Set<string>();
  let most = 0;
  let at = 0;
  // Coming back and going away in the same millisecond is not an overlap.
  const order = (record: MachineRecord) => (record.kind === 'back' ? 0 : 1);
  for (const record of [...records].sort((a, b) => a.at - b.at || order(a) - order(b))) {
    if (record.kind === 'away') away.add(record.machine);
    if (record.kind === 'back') away.delete(record.machine);
    if (away.size <= most) continue;
    most = away.size;
    at = record.at;
  }
  return {most, at};
}
