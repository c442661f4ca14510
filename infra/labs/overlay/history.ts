/** What the campaign writes down of every address, and whether one was ever with two. Pure. */

/** All times are milliseconds of one clock. */
export interface Holding {
  readonly machine: string;
  readonly pod: string;
  readonly address: string;
  /** When the agent's answer was there: from here on the pod has it for certain. */
  readonly from: number;
  /** When it was asked to take it back; absent while the pod has it. */
  readonly to?: number;
}

/** Two pods that had one address at one time, each pair once. */
export function heldTwice(history: readonly Holding[]): string[] {
  const found: string[] = [];
  const byAddress = Map.groupBy(history, ({address}) => address);
  for (const [address, holdings] of byAddress) {
    const sorted = holdings.toSorted((one, other) => one.from - other.from);
    for (const [index, one] of sorted.entries())
      for (const other of sorted.slice(index + 1)) {
        if (other.from >= (one.to ?? Infinity)) continue;
        found.push(
          `${address}: ${one.pod} on ${one.machine} since ${Math.round(one.from)} ms, ${other.pod} on ${other.machine} since ${Math.round(other.from)} ms`,
        );
      }
  }
  return found;
}
