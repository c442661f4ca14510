/** The image that the tests boot: built from the committed lock, from the cache when nothing changed. */
import {join} from 'node:path';
import {resolvePaths} from '../../services/common/paths.ts';
import {runShown} from './run.ts';

/** Machines, keys and images of the tests: apart from the user's own, kept for the next run. */
export function testHome(): string {
  return join(resolvePaths(process.env).cache, 'test-home');
}

/** Prints what it does; false when there is no image to test. */
export async function prepareImage(signal: AbortSignal): Promise<boolean> {
  for (const argv of [
    ['keys', 'init'],
    ['image', 'build', '--if-changed', '--refresh'],
  ]) {
    process.stdout.write(`hawser ${argv.join(' ')}\n`);
    const {ok} = await runShown(['services/cli/hawser', ...argv], signal, {HAWSER_HOME: testHome()});
    if (!ok) return false;
  }
  return true;
}
