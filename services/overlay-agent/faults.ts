/** What is wrong on this host, by who found it; goes to the server with every announcement. */

export interface FaultBoard {
  /** Replaces what this source said before. */
  set(source: string, faults: readonly string[]): void;
  all(): string[];
  /** Resolves at the next change. */
  changed(): Promise<void>;
}

/** As many as an announcement carries, and as long. */
const MAX_FAULTS = 16;
const MAX_LENGTH = 512;

export function createFaultBoard(): FaultBoard {
  const board = new Map<string, readonly string[]>();
  let wake: (() => void)[] = [];
  return {
    set: (source, faults) => {
      const before = board.get(source) ?? [];
      if (before.join('\n') === faults.join('\n')) return;
      board.set(source, faults);
      for (const done of wake) done();
      wake = [];
    },
    all: () =>
      [...board.values()]
        .flat()
        .slice(0, MAX_FAULTS)
        .map(fault => fault.slice(0, MAX_LENGTH)),
    changed: () => new Promise(resolve => void wake.push(resolve)),
  };
}
