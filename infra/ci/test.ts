/**
 * `npm test`: the checks, then every suite. `npm test -- quick` runs one suite. Closes with
 * `N passed, N failed, N skipped`.
 */
import {runChecks} from './check.ts';
import {countTests} from './counts.ts';
import {oracles, prepareImage, testHome} from './image.ts';
import {runShown} from './run.ts';
import {suites} from './suites.ts';

async function main(): Promise<number> {
  const interrupt = new AbortController();
  process.on('SIGINT', () => interrupt.abort());
  process.on('SIGTERM', () => interrupt.abort());
  const {signal} = interrupt;
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter(name => name !== 'check' && !suites.some(suite => suite.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `there is no suite ${unknown.join(', ')}: check, ${suites.map(({name}) => name).join(', ')}\n`,
    );
    return 2;
  }
  const chosen = (name: string, onlyByName = false) =>
    (wanted.length === 0 && !onlyByName) || wanted.includes(name);
  const total = {passed: 0, failed: 0, skipped: 0};

  if (chosen('check')) {
    const failed = await runChecks(signal);
    total.failed += failed.length;
  }
  const run = suites.filter(({name, onlyByName}) => chosen(name, onlyByName));
  // First, since it also brings what quick tests compare with (Ignition's own validator).
  const image = !run.some(({needsImage}) => needsImage) || (await prepareImage(signal));
  if (!image) total.failed += 1;
  const env = {HAWSER_TEST_HOME: testHome(), ...(await oracles())};
  for (const suite of run.filter(({needsImage}) => image || !needsImage)) {
    if (signal.aborted) break;
    process.stdout.write(`== ${suite.name} tests\n`);
    const argv = [
      'node_modules/.bin/ava',
      `--concurrency=${suite.concurrency}`,
      `--timeout=${suite.timeout}`,
      ...suite.files,
    ];
    const {ok, output} = await runShown(argv, signal, env);
    const counts = countTests(output);
    total.passed += counts.passed;
    total.skipped += counts.skipped;
    // A run that died without naming a failed test is one all the same.
    total.failed += ok ? counts.failed : Math.max(1, counts.failed);
  }
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return total.failed === 0 && total.passed > 0 && !signal.aborted ? 0 : 1;
}

process.exitCode = await main();
