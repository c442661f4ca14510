/** The image that the tests boot: built from the committed lock, from the cache when nothing changed. */
import {runShown} from './run.ts';

/** Prints what it does; `failed` when there is no image to test. */
export async function prepareImage(signal: AbortSignal): Promise<'ready' | 'failed'> {
  for (const argv of [
    ['keys', 'init'],
    ['image', 'build', '--if-changed', '--refresh'],
  ]) {
    process.stdout.write(`hawser ${argv.join(' ')}\n`);
    if (!(await runShown(['services/cli/hawser', ...argv], signal)).ok) return 'failed';
  }
  return 'ready';
}
