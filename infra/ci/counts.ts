/** Reads AVA's closing lines. Pure. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Sums `N tests passed`, `N tests failed`, `N tests skipped` and uncaught errors, as AVA prints them last. */
export function countTests(output: string): Counts {
  const sum = (pattern: RegExp) =>
    [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  return {
    // A run with failures closes without the number of those that passed.
    passed: Math.max(sum(/^\s*(\d+) tests? passed$/gm), [...output.matchAll(/^\s*✔ /gm)].length),
    failed:
      sum(/^\s*(\d+) (?:tests?|known failures?|hooks?) failed$/gm) +
      sum(/^\s*(\d+) (?:uncaught exceptions?|unhandled rejections?)$/gm),
    skipped: sum(/^\s*(\d+) tests? skipped$/gm),
  };
}
