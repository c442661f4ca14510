/** The verdict on the machine: well within the time, and well for a while after. */
import {readFile} from 'node:fs/promises';
import type {Clock} from '../../common/clock.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {parseJson} from '../../common/parse.ts';
import type {HealthPort} from '../ports.ts';
import {judge, noBaseline, Observation, type OperatorCheck} from './verdict.ts';

const POLL_MS = 3000;

export interface HealthOptions {
  /** Where the baseline is kept through the reboot. */
  readonly baseline: string;
  readonly timeoutSeconds: number;
  readonly settleSeconds: number;
  readonly clock: Clock;
  /** Milliseconds that never jump: the clock is set while this goes on. */
  monotonicMs(): number;
  observe(): Promise<Observation>;
  runChecks(): Promise<readonly OperatorCheck[]>;
  log(line: string): void;
}

export function healthChecks(options: HealthOptions): HealthPort {
  return {
    limitSeconds: options.timeoutSeconds + options.settleSeconds + 120,
    async takeBaseline() {
      await writeFileAtomic(options.baseline, `${JSON.stringify(await options.observe())}\n`);
    },
    async prove() {
      const before = await readBaseline(options.baseline);
      const began = options.monotonicMs();
      const deadline = began + options.timeoutSeconds * 1000;
      let wellSince: number | undefined;
      let said = '';
      for (;;) {
        const problems = judge(before, await options.observe(), await options.runChecks());
        const now = options.monotonicMs();
        if (problems.length === 0) {
          wellSince ??= now;
          if (now - wellSince >= options.settleSeconds * 1000) return {kind: 'healthy'};
        } else {
          wellSince = undefined;
          const detail = problems.join('; ');
          if (detail !== said) options.log(`not healthy yet: ${detail}`);
          said = detail;
          if (now >= deadline) return {kind: 'unhealthy', detail};
        }
        await options.clock.sleep(POLL_MS);
      }
    },
  };
}

async function readBaseline(path: string): Promise<Observation> {
  try {
    return parseJson(Observation, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return noBaseline;
    throw error;
  }
}
