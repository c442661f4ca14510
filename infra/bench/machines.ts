/**
 * What the machine layer itself costs: `machine create` beyond the platform's own time, and `machine ls` over 100
 * machines of two places whose platform takes 200 ms an answer, with a Docker behind each that answers by mutual TLS.
 * `node infra/bench/machines.ts`
 */
import {once} from 'node:events';
import {copyFile, mkdtemp, readFile, rm} from 'node:fs/promises';
import {createServer} from 'node:https';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {createMachine} from '../../machine-drivers/create.ts';
import type {Driver} from '../../machine-drivers/driver.ts';
import {observeAll} from '../../machine-drivers/listing.ts';
import {systemClock} from '../../services/common/clock.ts';
import {exec} from '../../services/common/exec.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {openEnrolment} from '../../services/provisioner/enrolment/index.ts';
import {instantAccess, stubDeps} from '../../test/machine-drivers/support/runtime.ts';
import {median} from './statistics.ts';

export interface MachineFigures {
  /** Milliseconds of one `create` of a driver whose seven calls take no time, one after the other. */
  readonly createMs: number;
  /** Milliseconds of `ls` over 100 machines, the platform's 200 ms included. */
  readonly listMs: number;
  /** CPU milliseconds of the same, those of the 100 Docker servers' side of TLS included. */
  readonly listCpuMs: number;
  readonly questions: number;
}

const MACHINES = 100;
const ROUNDS = 5;
const PLATFORM_MS = 200;
const CALL_TIMEOUT_MS = 30_000;

export async function measureMachines(): Promise<MachineFigures> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-bench-machines-'));
  const pki = join(home, 'pki');
  await makeCertificates(pki);
  const [key, cert, ca] = await Promise.all(
    ['server-key.pem', 'server.pem', 'ca.pem'].map(file => readFile(join(pki, file))),
  );
  const docker = createServer({key, cert, ca, requestCert: true, rejectUnauthorized: true}, (_, response) =>
    response.end('{"Version":"26.1.5"}'),
  );
  docker.listen({host: '127.0.0.1', port: 0});
  await once(docker, 'listening');
  try {
    const address = docker.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    let questions = 0;
    const driver = instantDriver(port, () => questions++);
    const plain = await stubDeps(home, [driver], {access: instantAccess});
    const enrolment = await openEnrolment({home, clock: systemClock});
    const deps = {...plain, runtime: {...plain.runtime, enrolment: () => Promise.resolve(enrolment)}};
    const names = Array.from({length: MACHINES}, (_, index) => `m${index}`);
    const creates: number[] = [];
    for (const [index, name] of names.entries()) {
      const begun = performance.now();
      const settings = {place: index % 2};
      await createMachine(deps, {name, driver: driver.name, settings, seconds: 5}, silentProgress);
      creates.push(performance.now() - begun);
      for (const file of ['ca.pem', 'cert.pem', 'key.pem'])
        await copyFile(join(pki, file), join(deps.store.folder(name), file));
    }
    const lists: number[] = [];
    const cpu: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      questions = 0;
      const begun = performance.now();
      const before = process.cpuUsage();
      const rows = await observeAll(deps, names, undefined, 10_000);
      lists.push(performance.now() - begun);
      const {user, system} = process.cpuUsage(before);
      cpu.push((user + system) / 1000);
      const odd = rows.find(row => row.docker !== 'v26.1.5');
      if (odd !== undefined) throw new Error(`${odd.name}: ${odd.state} ${odd.error}`);
    }
    const middle = (values: readonly number[]) => median(values) ?? Number.NaN;
    return {createMs: middle(creates), listMs: middle(lists), listCpuMs: middle(cpu), questions};
  } finally {
    docker.closeAllConnections();
    docker.close();
    await rm(home, {recursive: true, force: true});
  }
}

/** Its platform is quick to make, and slow to ask. */
function instantDriver(port: number, asked: () => void): Driver {
  const steps = ['address', 'volume', 'port', 'server', 'tags'].map(name => ({name, title: name}));
  return {
    name: 'instant',
    summary: '',
    flags: [],
    configure: () => Promise.resolve({}),
    preCreateCheck: () => Promise.resolve(),
    plan: () => steps,
    ensure: async (step, machine, host) => {
      if (step === 'server') await host.firstBoot([]);
      return {[step]: `${step}-${machine.uuid}`};
    },
    place: settings => JSON.stringify(settings),
    observe: async machines => {
      asked();
      await sleep(PLATFORM_MS);
      return new Map(machines.map(({uuid}) => [uuid, {state: 'Running'}]));
    },
    start: () => Promise.resolve({}),
    stop: () => Promise.resolve(),
    kill: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
    endpoint: () => ({ssh: {host: '127.0.0.1', port: 1}, docker: {host: '127.0.0.1', port}}),
  };
}

/** One certificate for every machine's stable name, as no authority of ours would give it. */
async function makeCertificates(folder: string): Promise<void> {
  const file = (name: string) => join(folder, name);
  const openssl = (...words: string[]) => exec(['openssl', ...words], {timeoutMs: CALL_TIMEOUT_MS});
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await exec(['mkdir', '-p', folder], {timeoutMs: CALL_TIMEOUT_MS});
  await openssl(
    'req',
    '-x509',
    ...ec,
    '-subj',
    '/CN=bench',
    '-keyout',
    file('ca-key.pem'),
    '-out',
    file('ca.pem'),
  );
  const issue = (subject: string, key: string, cert: string, extension: string) =>
    openssl(
      ...[
        ['req', '-x509', ...ec, '-subj', `/CN=${subject}`],
        ['-CA', file('ca.pem'), '-CAkey', file('ca-key.pem')],
        ['-addext', extension, '-keyout', file(key), '-out', file(cert)],
      ].flat(),
    );
  await issue('docker', 'server-key.pem', 'server.pem', 'subjectAltName=DNS:*.machine.hawser.internal');
  await issue('operator', 'key.pem', 'cert.pem', 'extendedKeyUsage=clientAuth');
}

export function renderMachines({createMs, listMs, listCpuMs, questions}: MachineFigures): string[] {
  return [
    `machine create, beyond the platform's own time: ${createMs.toFixed(0)} ms`,
    `machine ls over ${MACHINES} machines of 2 places that answer in ${PLATFORM_MS} ms: ${listMs.toFixed(0)} ms, ${listCpuMs.toFixed(0)} CPU ms, ${questions} questions`,
  ];
}

if (import.meta.main)
  for (const line of renderMachines(await measureMachines())) process.stdout.write(`${line}\n`);
