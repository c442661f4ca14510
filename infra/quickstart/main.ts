/**
 * `npm run quickstart`: builds the image (or takes it from the cache), makes machines, runs a web container on
 * each, fetches from it, and says what it did and how long each step took. With `--rolling` the machines get the first
 * of two releases, become a cluster behind one address, and move to the second under load, one at a time.
 */
import {cpus} from 'node:os';
import {join} from 'node:path';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {describeError} from '../../services/common/errors.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {createProgress, type Progress} from '../../services/common/progress.ts';
import {ensureImage} from './image.ts';
import {
  createMachines,
  fetchFromNeighbour,
  machineNames,
  removeMachines,
  startWeb,
  type QuickMachine,
} from './machines.ts';
import {stopBalancer} from './balancer.ts';
import {startFleetServer, type FleetServer} from './fleet-server.ts';
import {standBehindOneAddress} from './one-address.ts';
import {parseOptions, usage, type QuickstartOptions} from './options.ts';
import {buildReleases, publishReleases, type DemoImage} from './releases.ts';
import {groupName, prepareGroup, rollFleet} from './rolling.ts';
import {renderRollingUpdate, shortcomings, type RollingUpdate} from './rolling-report.ts';

interface StepTime {
  readonly step: string;
  readonly seconds: number;
}

interface Outcome {
  readonly steps: StepTime[];
  machines: QuickMachine[];
  image: {folder: string; locked: boolean} | undefined;
  rollingUpdate: RollingUpdate | undefined;
}

const ADDRESS_PORT = 8088;
const ROLLING_SECONDS = 3600;

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
  const outcome: Outcome = {steps: [], machines: [], image: undefined, rollingUpdate: undefined};
  let code = 0;
  try {
    await run(options, outcome, progress, interrupt.signal);
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
      await timed(outcome, progress, 'remove the machines', () =>
        removeMachines(machineNames(options.machines)),
      );
  }
  const seconds = (Date.now() - started) / 1000;
  if (options.report !== undefined) await writeReport(options.report, outcome, seconds, code === 0);
  if (code === 0) for (const line of summary(options, outcome, seconds)) progress.note(line);
  return code;
}

async function run(
  options: QuickstartOptions,
  outcome: Outcome,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const step = <Result>(title: string, work: () => Promise<Result>) => timed(outcome, progress, title, work);
  const plain = async (image: string, updates: {server: string; group: string} | undefined) => {
    outcome.machines = await step(`create ${options.machines} machines`, () =>
      createMachines(options.machines, {image, updates}, progress, signal),
    );
    await step('run a web container on each', async () => {
      for (const machine of outcome.machines) await startWeb(machine);
    });
    await step('fetch from each', async () => {
      for (const machine of outcome.machines)
        await fetchFromNeighbour(machine, outcome.machines, progress, signal);
    });
  };
  if (!options.rolling) {
    outcome.image = await step('image', () => ensureImage(progress, signal));
    await plain(outcome.image.folder, undefined);
    return;
  }
  const {first, second} = await step('images of two releases', () => buildReleases(progress, signal));
  outcome.image = first;
  const releases = await step('publish both', () => publishReleases([first, second], progress, signal));
  const fullImageBytes = releases.find(({version}) => version === second.version)?.fullBytes ?? 0;
  const server = await step('update server', async () => {
    const started = await startFleetServer(progress, signal);
    await prepareGroup(signal);
    return started;
  });
  try {
    await plain(first.folder, {server: server.url, group: groupName});
    await roll(options, outcome, {first, second, fullImageBytes, server}, progress, signal);
  } finally {
    await server.stop();
  }
}

async function roll(
  options: QuickstartOptions,
  outcome: Outcome,
  given: {first: DemoImage; second: DemoImage; fullImageBytes: number; server: FleetServer},
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const {first, second, fullImageBytes} = given;
  const folder = balancerFolder();
  try {
    const {balancer} = await timed(outcome, progress, 'one cluster behind one address', () =>
      standBehindOneAddress(outcome.machines, folder, ADDRESS_PORT, progress, signal),
    );
    const update = await timed(outcome, progress, 'rolling update under load', () =>
      rollFleet(
        {
          url: balancer.url,
          machines: outcome.machines.map(({name}) => name),
          from: first.version,
          to: second.version,
          fullImageBytes,
          limitSeconds: ROLLING_SECONDS,
        },
        progress,
        signal,
      ),
    );
    outcome.rollingUpdate = update;
    for (const line of renderRollingUpdate(update)) progress.note(`  ${line}`);
    const short = shortcomings(update, outcome.machines.length);
    if (short.length > 0) throw new Error(short.join('; '));
  } finally {
    if (options.once) await stopBalancer(folder);
  }
}

function balancerFolder(): string {
  return join(resolvePaths(process.env).cache, 'quickstart', 'balancer');
}

async function timed<Result>(
  outcome: Outcome,
  progress: Progress,
  title: string,
  work: () => Promise<Result>,
): Promise<Result> {
  progress.note(`== ${title}`);
  const started = performance.now();
  try {
    return await work();
  } finally {
    outcome.steps.push({step: title, seconds: Math.round(performance.now() - started) / 1000});
  }
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
  const lines = [
    '',
    ...outcome.steps.map(({step, seconds}) => `${step.padEnd(width)}  ${seconds.toFixed(1).padStart(7)} s`),
  ];
  lines.push(`${'in all'.padEnd(width)}  ${seconds.toFixed(1).padStart(7)} s`, '');
  if (options.once) return [...lines, 'Everything was removed again.'];
  return [
    ...lines,
    'Go on:',
    '  npx hawser machine ls',
    `  eval "$(npx hawser machine env ${name})" && docker ps`,
    `  npx hawser machine ssh ${name}`,
    ...(outcome.rollingUpdate === undefined
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
