/** The next run: a timer of systemd's, so that nothing stays resident until then. */
import {exec} from '../../common/exec.ts';

const TIMEOUT_MS = 30_000;
const UNIT = 'hawser-update-wake';

/** Replaces the run that was planned before. A lasting timer (hawser-update.timer) stands behind it. */
export async function wakeIn(seconds: number): Promise<void> {
  // One that has not fired yet: started by hand, or by the operator.
  await exec(['systemctl', 'stop', '--quiet', `${UNIT}.timer`], {timeoutMs: TIMEOUT_MS, okCodes: [0, 5]});
  const argv = [
    'systemd-run',
    '--quiet',
    '--collect',
    `--unit=${UNIT}`,
    `--on-active=${Math.max(1, seconds)}s`,
    '--timer-property=AccuracySec=1s',
    'systemctl',
    'start',
    '--no-block',
    'hawser-update.service',
  ];
  await exec(argv, {timeoutMs: TIMEOUT_MS});
}

/** The next run as soon as what it has to wait for (After= of the unit) is done. */
export async function wakeNow(): Promise<void> {
  await exec(['systemctl', 'start', '--no-block', 'hawser-update.service'], {timeoutMs: TIMEOUT_MS});
}
