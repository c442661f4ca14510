/**
 * `npm run quickstart`: builds the image (or takes it from the cache), makes machines, runs a web container on
 * each, fetches from it, and says what it did and how long each step took. With `--rolling` the machines get the first
 * of two releases, become a cluster behind one address, and move to the second under load, one at a time; with
 * `--bad-release` they are offered releases that are no good.
 */
import {cpus} from 'node:os';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {describeError} from '../../services/common/errors.ts';
import {createProgress} from '../../services/common/progress.ts';
import {ADDRESS_PORT, demonstrate, timed, type Outcome} from './demonstration.ts';
import {machineNames, removeMachines} from './machines.ts';
import {parseOptions, usage, type QuickstartOptions} from './options.ts';

async function main(): Promise<number> {
  let options: QuickstartOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`quickstart: ${describeError(error)}\n${usage}\n`);
    return 2;
  }
  const interrupt = new AbortController();
  process.on('SIGINT', () => interrupt.abort());
  process.on('SIGTERM', () => interrupt.abort());
  const {stdout} = process;
  const progress = createProgress(
    {isTTY: stdout.isTTY, columns: stdout.columns, write: text => void stdout.write(text)},
    () => performance.now(),
  );
  const started = Number(process.env['HAWSER_QUICKSTART_STARTED'] ?? Math.floor(Date.now() / 1000)) * 1000;
  const outcome: Outcome = {
    steps: [],
    machines: [],
    image: undefined,
    rollingUpdate: undefined,
    badReleases: undefined,
  };
  let code = 0;
  try {
    await demonstrate({options, outcome, progress, signal: interrupt.signal});
  } catch (error) {
    code = interrupt.signal.aborted ? 130 : 1;
    progress.note(`quickstart: ${describeError(error)}`);
    if (!options.once)
      progress.note(
        'Run it again to go on from here, or remove everything: npm run hawser -- machine rm -f -y ' +
          machineNames(options.machines).join(' '),
      );
  } finally {
    if (options.once)
      await timed({outcome, progress}, 'remove the machines', () =>
        removeMachines(machineNames(options.machines)),
      );
  }
  const seconds = (Date.now() - started) / 1000;
  if (options.report !== undefined) await writeReport(options.report, outcome, seconds, code === 0);
  if (code === 0) for (const line of summary(options, outcome, seconds)) progress.note(line);
  return code;
}

async function writeReport(
  path: string,
  outcome: Outcome,
  totalSeconds: number,
  succeeded: boolean,
): Promise<void> {
  const report = {schema: 1, succeeded, totalSeconds, processors: cpus().length, ...outcome};
  await writeFileAtomic(path, `${JSON.stringify(report, undefined, 2)}\n`, 0o644);
}

function summary(options: QuickstartOptions, outcome: Outcome, seconds: number): string[] {
  const name = outcome.machines[0]?.name ?? 'quick-1';
  const width = Math.max(...outcome.steps.map(({step}) => step.length));
  const row = (step: string, took: number) => `${step.padEnd(width)}  ${took.toFixed(1).padStart(7)} s`;
  const lines = [
    '',
    ...outcome.steps.map(({step, seconds: took}) => row(step, took)),
    row('in all', seconds),
    '',
  ];
  if (options.once) return [...lines, 'Everything was removed again.'];
  return [
    ...lines,
    'Go on:',
    '  npx hawser machine ls',
    `  eval "$(npx hawser machine env ${name})" && docker ps`,
    `  npx hawser machine ssh ${name}`,
    ...(options.demonstration === 'machines'
      ? []
      : [
          `  curl http://127.0.0.1:${ADDRESS_PORT}/            # the address before all machines`,
          '  npx hawser server                        # the machines look for updates again; then, beside it:',
          '  npx hawser fleet status',
        ]),
    `  npx hawser machine rm -y ${outcome.machines.map(machine => machine.name).join(' ')}`,
  ];
}

process.exitCode = await main();
