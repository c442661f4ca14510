/**
 * `npm run bench`: Hawser's image beside a Debian cloud-style image, built by the same tools and booted by the
 * same command line in one run. It measures and never judges.
 */
import {readdir} from 'node:fs/promises';
import {cpus, totalmem} from 'node:os';
import {basename, join} from 'node:path';
import {readAptSources} from '../../image-build/packages/apt.ts';
import {findMirrors} from '../../image-build/packages/mirrors.ts';
import {describeError} from '../../services/common/errors.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {currentImage, resolvePaths, type Paths} from '../../services/common/paths.ts';
import {createProgress, withStep, type Progress} from '../../services/common/progress.ts';
import {measureRound, type Round} from './boot.ts';
import {coldBuildSeconds, helpSeconds, rebuildSeconds} from './build-times.ts';
import {ensureDebianImage, type DebianImage} from './debian-image.ts';
import {artefactBytes, artefactPath, ensureTools, openHawserImage, type HawserImage} from './image.ts';
import {parseOptions, usage, type BenchOptions} from './options.ts';
import {renderTable, rows, type ImageSizes} from './report.ts';
import {compressedBytes} from './sizes.ts';
import {measureUpdate, plainWrite, type UpdateFigures} from './update-pairs.ts';
import {renderUpdate} from './update-report.ts';
import {measureWithoutImage, renderWithoutImage, type WithoutImage} from './without-image.ts';

const root = join(import.meta.dirname, '..', '..');

/** Filled as the run goes, so that an interrupted one still shows what it has. */
interface Collected extends WithoutImage {
  hawser: {rounds: Round[]; sizes: ImageSizes | undefined};
  debian: {rounds: Round[]; sizes: ImageSizes | undefined};
  rebuildSeconds: number | undefined;
  coldBuildSeconds: number | undefined;
  helpSeconds: number[];
  update: UpdateFigures | undefined;
  plainWrite: {readonly seconds: number; readonly cpuSeconds: number} | undefined;
}

interface Run {
  readonly options: BenchOptions;
  readonly paths: Paths;
  readonly collected: Collected;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`bench: ${describeError(error)}\n${usage}\n`);
    return 2;
  }
  const interrupt = new AbortController();
  process.on('SIGINT', () => interrupt.abort(new Error('interrupted')));
  process.on('SIGTERM', () => interrupt.abort(new Error('interrupted')));
  const limit = setTimeout(
    () => interrupt.abort(new Error(`stopped after ${options.minutes} minutes`)),
    options.minutes * 60_000,
  );
  const {stdout} = process;
  const progress = createProgress(
    {isTTY: stdout.isTTY, columns: stdout.columns, write: text => void stdout.write(text)},
    () => performance.now(),
  );
  const collected: Collected = {
    hawser: {rounds: [], sizes: undefined},
    debian: {rounds: [], sizes: undefined},
    rebuildSeconds: undefined,
    coldBuildSeconds: undefined,
    helpSeconds: [],
    update: undefined,
    plainWrite: undefined,
  };
  let code = 0;
  try {
    await measure({options, paths: resolvePaths(process.env), collected, progress, signal: interrupt.signal});
  } catch (error) {
    code = interrupt.signal.aborted ? 130 : 1;
    progress.note(`bench: ${describeError(interrupt.signal.aborted ? interrupt.signal.reason : error)}`);
  } finally {
    clearTimeout(limit);
  }
  for (const line of renderTable(collected)) progress.note(line);
  if (collected.update !== undefined)
    for (const line of renderUpdate(collected.update, collected.plainWrite)) progress.note(line);
  for (const line of renderWithoutImage(collected)) progress.note(line);
  if (options.json !== undefined) await writeJson(options.json, collected, code === 0);
  return code;
}

async function measure(run: Run): Promise<void> {
  const {options, paths, collected, progress, signal} = run;
  const wants = (part: BenchOptions['parts'][number]) => options.parts.includes(part);
  const places = {root, cache: paths.cache, env: definedOf(process.env), signal};
  if (wants('command')) {
    collected.helpSeconds = await withStep(progress, 'hawser --help', () => helpSeconds(places));
  }
  await measureWithoutImage(options.parts, collected, {progress, cache: paths.cache, signal});
  if (wants('boot') || wants('size')) {
    const hawser = await openHawserImage(options.image ?? currentImage(paths));
    const mirrors = findMirrors(await aptSources());
    const lockFile = join(hawser.folder, 'image.lock.json');
    const toolsRoot = await ensureTools({lockFile, cache: paths.cache, mirrors, progress, signal});
    const debian = await ensureDebianImage({cache: paths.cache, mirrors, toolsRoot, progress, signal});
    if (wants('size')) await measureSizes(run, hawser, debian, toolsRoot);
    if (wants('boot')) await measureBoots(run, hawser, debian, toolsRoot);
  }
  if (options.pair !== undefined && (wants('bytes') || wants('apply'))) {
    await measurePair(run, options.pair, wants('apply'));
  }
  if (wants('build')) {
    collected.rebuildSeconds = await withStep(progress, 'build after a change to an agent', () =>
      rebuildSeconds(places),
    );
    if (options.cold)
      collected.coldBuildSeconds = await withStep(progress, 'build from nothing', () =>
        coldBuildSeconds(places),
      );
  }
}

async function measurePair(
  {options, paths, collected, progress, signal}: Run,
  pair: {readonly from: string; readonly to: string},
  apply: boolean,
): Promise<void> {
  const work = join(paths.cache, 'bench');
  collected.update = await withStep(progress, 'update', step =>
    measureUpdate({...pair, floor: options.floor, work, signal, note: text => step.update(text)}),
  );
  if (!apply) return;
  const image = await openHawserImage(pair.to);
  collected.plainWrite = await withStep(progress, 'zstd -d | dd', () => plainWrite(image, work, signal));
}

async function measureSizes(
  run: Run,
  hawser: HawserImage,
  debian: DebianImage,
  toolsRoot: string,
): Promise<void> {
  const {collected, paths, progress, signal} = run;
  const compressed = (what: string, raw: string, key: string) =>
    withStep(progress, `${what}: compress`, () => compressedBytes(raw, key, toolsRoot, paths.cache, signal));
  collected.hawser.sizes = {
    compressed: await compressed(
      'Hawser',
      artefactPath(hawser, 'disk'),
      hawser.manifest.rootHash.slice(0, 16),
    ),
    usr: artefactBytes(hawser, 'usr'),
    kernel: artefactBytes(hawser, 'uki'),
  };
  collected.debian.sizes = {
    compressed: await compressed('Debian', debian.raw, basename(debian.folder)),
    usr: debian.usrBytes,
    kernel: debian.kernelBytes,
  };
}

/** The two take turns, so that a busy quarter of an hour falls on both. */
async function measureBoots(
  run: Run,
  hawser: HawserImage,
  debian: DebianImage,
  toolsRoot: string,
): Promise<void> {
  const {collected, options, progress, signal} = run;
  for (let round = 1; round <= options.boots; round++) {
    for (const [what, image, rounds] of [
      ['Debian', {qcow2: debian.qcow2}, collected.debian.rounds],
      [
        'Hawser',
        {qcow2: artefactPath(hawser, 'qcow2'), firmwareVars: hawser.firmwareVars},
        collected.hawser.rounds,
      ],
    ] as const) {
      const result = await withStep(
        progress,
        `${what}: round ${round} of ${options.boots}`,
        step => measureRound(image, toolsRoot, step, signal),
        ({first, second}) =>
          `Docker after ${first.docker.cpuSeconds.toFixed(0)} and ${second.docker.cpuSeconds.toFixed(0)} CPU s`,
      );
      rounds.push(result);
    }
  }
}

async function aptSources(): Promise<string[]> {
  const names = await readdir('/etc/apt/sources.list.d').catch(() => []);
  return readAptSources([
    '/etc/apt/sources.list',
    ...names.map(name => join('/etc/apt/sources.list.d', name)),
  ]);
}

async function writeJson(path: string, collected: Collected, complete: boolean): Promise<void> {
  const [processor] = cpus();
  const machine = {processors: cpus().length, model: processor?.model, memoryBytes: totalmem()};
  const report = {
    schema: 1,
    at: new Date().toISOString(),
    complete,
    machine,
    table: rows(collected),
    ...collected,
  };
  await writeFileAtomic(path, `${JSON.stringify(report, undefined, 2)}\n`, 0o644);
}

function definedOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

process.exitCode = await main();
