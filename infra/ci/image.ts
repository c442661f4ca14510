/** The image that the tests boot: built from the committed lock, from the cache when nothing changed. */
import {readdir, stat} from 'node:fs/promises';
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

/** Programs of the image's own packages that tests compare with, as the variables by which they find them. */
export async function oracles(): Promise<Readonly<Record<string, string>>> {
  const roots = join(resolvePaths(process.env).cache, 'roots');
  const names = (await readdir(roots).catch(() => [])).filter(name => name.startsWith('image-'));
  for (const name of names) {
    const validate = join(roots, name, 'usr/bin/ignition-validate');
    if (await stat(validate).catch(() => undefined)) return {HAWSER_IGNITION_VALIDATE: validate};
  }
  return {};
}
