/** `npm run check`: the one gate for everything that needs no test run: types, lint, layers, format. */
import {runShown} from './run.ts';

const checks: readonly (readonly [string, readonly string[]])[] = [
  ['types', ['node_modules/.bin/tsc']],
  ['lint', ['node_modules/.bin/oxlint', '--config=.oxlintrc.ts', '--deny-warnings']],
  [
    'format',
    [
      'node_modules/.bin/prettier',
      '--check',
      '--log-level=warn',
      '{services,image-build,machine-drivers,test,infra}/**/*.ts',
    ],
  ],
];

/** The names of the checks that failed. */
export async function runChecks(signal: AbortSignal): Promise<string[]> {
  const failed: string[] = [];
  for (const [name, argv] of checks) {
    process.stdout.write(`== ${name}\n`);
    if (!(await runShown(argv, signal)).ok) failed.push(name);
  }
  return failed;
}

if (import.meta.main) {
  const failed = await runChecks(new AbortController().signal);
  process.stdout.write(failed.length === 0 ? 'all checks passed\n' : `failed: ${failed.join(', ')}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
