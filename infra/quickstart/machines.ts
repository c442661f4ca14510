/** Makes the quickstart's machines and uses them. */
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {Type} from 'typebox';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import {parseJson} from '../../services/common/parse.ts';
import type {Progress} from '../../services/common/progress.ts';
import {importImage, runContainer} from './docker.ts';
import {hawser} from './hawser.ts';
import {webCommand, webPort, webRootArchive} from './web-image.ts';

/** Beyond the ports that the machine layer hands out by itself (20200-20999). */
const FIRST_PUBLISHED = 21_000;
/** A machine boots on two processors' worth of work; more at once only slow each other down. */
const PARALLEL = 2;
/** For each of SSH, enrolment and Docker, without KVM on a machine that does other work too. */
const STEP_SECONDS = 900;

const Address = Type.Object({host: Type.String(), port: Type.Integer()});
const Inspected = Type.Object({
  uuid: Type.String(),
  finished: Type.Boolean(),
  state: Type.String(),
  folder: Type.String(),
  endpoint: Type.Object({docker: Address, privateAddress: Type.String()}),
  settings: Type.Object({publish: Type.Array(Type.Object({host: Type.Integer(), guest: Type.Integer()}))}),
});
const Listed = Type.Array(Type.Object({name: Type.String()}));

export interface QuickMachine {
  readonly name: string;
  readonly uuid: string;
  readonly folder: string;
  readonly docker: {readonly host: string; readonly port: number};
  readonly privateAddress: string;
  /** Ports of 127.0.0.1 that lead to ports of the machine. */
  readonly publish: readonly {readonly host: number; readonly guest: number}[];
  readonly createSeconds: number;
}

/** Where a machine says whether it wants requests (hawser-ready.socket in the image). */
export const readyPort = 7070;

export function machineNames(count: number): string[] {
  return Array.from({length: count}, (_, index) => `quick-${index + 1}`);
}

/** What the machines are made of, and who updates them. */
export interface MachinePlan {
  /** Folder of the image that they boot at first. */
  readonly image: string;
  /** Address of the update server, and the group that they belong to. */
  readonly updates: {readonly server: string; readonly group: string} | undefined;
}

/** Creates what is missing, finishes what was cut short, starts what is stopped. */
export async function createMachines(
  count: number,
  plan: MachinePlan,
  progress: Progress,
  signal: AbortSignal,
): Promise<QuickMachine[]> {
  const known = parseJson(
    Listed,
    await hawser(['machine', 'ls', '--output', 'json'], {signal}),
    'machine ls',
  ).map(({name}) => name);
  const queue = machineNames(count);
  const made = new Map<string, QuickMachine>();
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      made.set(name, await ensureMachine(name, plan, known.includes(name), progress, signal));
    }
  };
  await Promise.all(Array.from({length: PARALLEL}, worker));
  return machineNames(count).flatMap(name => made.get(name) ?? []);
}

async function ensureMachine(
  name: string,
  plan: MachinePlan,
  exists: boolean,
  progress: Progress,
  signal: AbortSignal,
): Promise<QuickMachine> {
  const started = performance.now();
  const run = {signal, onLine: (line: string) => progress.note(`  ${name}: ${line}`)};
  const before = exists ? await inspect(name, signal) : undefined;
  if (before?.finished !== true) {
    const publish = before === undefined ? await freePublishes(name) : [];
    const {image, updates} = plan;
    const wishes =
      updates === undefined ? [] : ['--update-server', updates.server, '--update-group', updates.group];
    await hawser(
      [
        'machine',
        'create',
        '--image',
        image,
        '--timeout',
        String(STEP_SECONDS),
        '--qemu-secure-boot',
        '--qemu-restrict',
        ...wishes,
        ...publish,
        name,
      ],
      run,
    );
  } else if (before.state !== 'Running') await hawser(['machine', 'start', name], run);
  const {uuid, folder, endpoint, settings} = await inspect(name, signal);
  const createSeconds = Math.round(performance.now() - started) / 1000;
  return {
    name,
    uuid,
    folder,
    docker: endpoint.docker,
    privateAddress: endpoint.privateAddress,
    publish: settings.publish,
    createSeconds,
  };
}

/** Flags that forward the service and the readiness port from two ports that are free now. */
async function freePublishes(name: string): Promise<string[]> {
  const index = Number(name.split('-').at(-1));
  for (let base = FIRST_PUBLISHED; base < FIRST_PUBLISHED + 1000; base += 100) {
    const [service, ready] = [base + index, base + 50 + index];
    if ((await isFree(service)) && (await isFree(ready)))
      return [`--qemu-publish=${service}:${webPort}`, `--qemu-publish=${ready}:${readyPort}`];
  }
  throw new Error(`no free ports of 127.0.0.1 from ${FIRST_PUBLISHED} on for ${name}`);
}

export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

async function inspect(name: string, signal: AbortSignal) {
  return parseJson(
    Inspected,
    await hawser(['machine', 'inspect', name], {signal}),
    `machine inspect ${name}`,
  );
}

/** Runs the web container by the machine's Docker, from here, over mutual TLS. */
export async function startWeb(machine: QuickMachine): Promise<void> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map(file => readFile(join(machine.folder, file))),
  );
  if (ca === undefined || cert === undefined || key === undefined)
    throw new Error(`${machine.name} has no client certificate`);
  const endpoint = {...machine.docker, servername: machineServerName(machine.uuid), ca, cert, key};
  await importImage(endpoint, 'hawser-web', await webRootArchive());
  const environment = [`TEXT=hello from ${machine.name}`];
  await runContainer(endpoint, 'hello', 'hawser-web', webCommand, environment, webPort);
}

/** The next machine asks this one's container over the private network; throws unless the right page comes. */
export async function fetchFromNeighbour(
  machine: QuickMachine,
  all: readonly QuickMachine[],
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const asking = all[(all.indexOf(machine) + 1) % all.length] ?? machine;
  const url = `http://${machine.privateAddress}:${webPort}/`;
  const curl = [
    'curl',
    '--silent',
    '--show-error',
    '--fail',
    '--retry',
    '5',
    '--retry-connrefused',
    '--max-time',
    '30',
    url,
  ];
  const page = await hawser(['machine', 'ssh', asking.name, ...curl], {signal});
  if (page.trim() !== `hello from ${machine.name}`) throw new Error(`${url} answered "${page.trim()}"`);
  progress.note(`  ${asking.name} asked ${url}: ${page.trim()}`);
}

/** Removes what is there; never interrupted, so that nothing stays behind. */
export async function removeMachines(names: readonly string[]): Promise<void> {
  const {signal} = new AbortController();
  const known = parseJson(
    Listed,
    await hawser(['machine', 'ls', '--output', 'json'], {signal}),
    'machine ls',
  ).map(({name}) => name);
  const present = names.filter(name => known.includes(name));
  if (present.length > 0) await hawser(['machine', 'rm', '-f', '-y', ...present], {signal});
}
