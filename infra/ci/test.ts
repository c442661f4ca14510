/**
 * `npm test`: the checks, then every suite. `npm test -- quick` runs one suite. Closes with
 * `N passed, N failed, N skipped`.
 */
import {runChecks} from './check.ts';
import {countTests} from './counts.ts';
import {prepareImage, testHome} from './image.ts';
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
  const chosen = (name: string) => wanted.length === 0 || wanted.includes(name);
  const total = {passed: 0, failed: 0, skipped: 0};

  if (chosen('check')) {
    const failed = await runChecks(signal);
    total.failed += failed.length;
  }
  let image: boolean | undefined;
  for (const suite of suites.filter(({name}) => chosen(name))) {
    if (signal.aborted) break;
    process.stdout.write(`== ${suite.name} tests\n`);
    if (suite.needsImage) {
      image ??= await prepareImage(signal);
      if (!image) {
        total.failed += 1;
        break;
      }
    }
    const argv = [
      'node_modules/.bin/ava',
      `--concurrency=${suite.concurrency}`,
      `--timeout=${suite.timeout}`,
      ...suite.files,
    ];
    const {ok, output} = await runShown(argv, signal, {HAWSER_TEST_HOME: testHome()});
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
