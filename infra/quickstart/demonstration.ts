/** The quickstart's steps, in the newcomer's order: releases, server, machines, containers, one address, update. */
import {join} from 'node:path';
import {resolvePaths} from '../../services/common/paths.ts';
import type {Progress} from '../../services/common/progress.ts';
import {tryBadReleases} from './bad-release.ts';
import {badReleaseShortcomings, renderBadRelease, type BadRelease} from './bad-report.ts';
import {stopBalancer} from './balancer.ts';
import {startFleetServer} from './fleet-server.ts';
import {ensureImage} from './image.ts';
import {
  createMachines,
  fetchFromNeighbour,
  startWeb,
  type MachinePlan,
  type QuickMachine,
} from './machines.ts';
import {standBehindOneAddress} from './one-address.ts';
import type {QuickstartOptions} from './options.ts';
import {buildReleases, publishReleases, type DemoReleases} from './releases.ts';
import {groupName, prepareGroup, rollFleet} from './rolling.ts';
import {renderRollingUpdate, shortcomings, type RollingUpdate} from './rolling-report.ts';

export const ADDRESS_PORT = 8088;
const ROLLING_SECONDS = 3600;

/** What is known so far; filled as the steps go, so that a report of a failed run says how far it came. */
export interface Outcome {
  readonly steps: {readonly step: string; readonly seconds: number}[];
  machines: QuickMachine[];
  image: {readonly folder: string; readonly locked: boolean} | undefined;
  rollingUpdate: RollingUpdate | undefined;
  badReleases: BadRelease[] | undefined;
}

export interface Stage {
  readonly options: QuickstartOptions;
  readonly outcome: Outcome;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export async function demonstrate(stage: Stage): Promise<void> {
  const {options, outcome, progress, signal} = stage;
  if (options.demonstration === 'machines') {
    outcome.image = await timed(stage, 'image', () => ensureImage(progress, signal));
    await makeMachines(stage, {image: outcome.image.folder, updates: undefined});
    return;
  }
  const kind = options.demonstration === 'bad-release' ? 'bad' : 'good';
  const images = await timed(stage, 'images of the releases', () => buildReleases(kind, progress, signal));
  outcome.image = images.first;
  const published = await timed(stage, 'publish them', () =>
    publishReleases([images.first, ...images.later], progress, signal),
  );
  const server = await timed(stage, 'update server', async () => {
    const started = await startFleetServer(progress, signal);
    await prepareGroup(options.machines, signal);
    return started;
  });
  try {
    await makeMachines(stage, {
      image: images.first.folder,
      updates: {server: server.url, group: groupName},
    });
    const bytes = new Map(published.map(({version, fullBytes}) => [version, fullBytes]));
    await update(stage, images, bytes);
  } finally {
    await server.stop();
  }
}

async function makeMachines(stage: Stage, plan: MachinePlan): Promise<void> {
  const {options, outcome, progress, signal} = stage;
  outcome.machines = await timed(stage, `create ${options.machines} machines`, () =>
    createMachines(options.machines, plan, progress, signal),
  );
  await timed(stage, 'run a web container on each', async () => {
    for (const machine of outcome.machines) await startWeb(machine);
  });
  await timed(stage, 'fetch from each', async () => {
    for (const machine of outcome.machines)
      await fetchFromNeighbour(machine, outcome.machines, progress, signal);
  });
}

async function update(
  stage: Stage,
  {later}: DemoReleases,
  fullBytes: ReadonlyMap<string, number>,
): Promise<void> {
  const {options, outcome, progress, signal} = stage;
  const folder = join(resolvePaths(process.env).cache, 'quickstart', 'balancer');
  try {
    const {balancer} = await timed(stage, 'one cluster behind one address', () =>
      standBehindOneAddress(outcome.machines, folder, ADDRESS_PORT, progress, signal),
    );
    const machines = outcome.machines.map(({name}) => name);
    const watch = {machines, limitSeconds: ROLLING_SECONDS, progress, signal};
    if (options.demonstration === 'bad-release') {
      const versions = later.map(({version}) => version);
      const tried = await timed(stage, 'bad releases under load', () =>
        tryBadReleases(balancer.url, versions, watch),
      );
      outcome.badReleases = tried;
      conclude(
        stage,
        tried.flatMap(renderBadRelease),
        tried.flatMap(one => badReleaseShortcomings(one, machines.length)),
      );
      return;
    }
    for (const {version} of later) {
      const roll = {url: balancer.url, to: version, fullImageBytes: fullBytes.get(version) ?? 0};
      const rolled = await timed(stage, 'rolling update under load', () => rollFleet(roll, watch));
      outcome.rollingUpdate = rolled;
      if (rolled === undefined) progress.note(`  every machine runs ${version} already`);
      else conclude(stage, renderRollingUpdate(rolled), shortcomings(rolled, machines.length));
    }
  } finally {
    if (options.once) await stopBalancer(folder);
  }
}

function conclude({progress}: Stage, lines: readonly string[], short: readonly string[]): void {
  for (const line of lines) progress.note(`  ${line}`);
  if (short.length > 0) throw new Error(short.join('; '));
}

/** Says the step's name, and keeps how long it took. */
export async function timed<Result>(
  {outcome, progress}: Pick<Stage, 'outcome' | 'progress'>,
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
