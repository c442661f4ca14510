/** From "the machine runs" to "Docker answers": the steps that are the same on every driver. */
import type {ProgressStep} from '../services/common/progress.ts';
import {lastConsoleLine} from './console.ts';
import {ensureClientCertificate} from './docker/certificate.ts';
import {writeDockerContext} from './docker/context.ts';
import {tcpUrl} from './docker/url.ts';
import {ping} from './docker/api.ts';
import type {Driver, DriverMachine, Endpoint} from './driver.ts';
import {enrolOverSsh} from './enrol.ts';
import {MachineError} from './errors.ts';
import {driverContext, viewOf} from './machine.ts';
import type {Access, AccessSteps, MachineDeps} from './machine.ts';
import {observeMachine} from './observation.ts';
import type {MachineRecord} from './store/record.ts';
import type {StoredMachine} from './store/store.ts';
import type {SshTarget} from './ssh/connection.ts';
import {attempt, waitForLogin} from './ssh/wait.ts';
import type {Patience} from './ssh/wait.ts';

const PING_TIMEOUT_MS = 30_000;
const CONSOLE_INTERVAL_MS = 2000;

/** Where a machine is reached; throws `no-address` while its driver does not know. */
export function endpointOf(driver: Driver, machine: DriverMachine): Endpoint {
  const endpoint = driver.endpoint(machine);
  if (endpoint !== undefined) return endpoint;
  throw new MachineError('no-address', `machine "${machine.name}" has no address yet`, {
    remedy: `finish it with hawser machine create ${machine.name}`,
  });
}

export function sshTarget(driver: Driver, record: MachineRecord, machine: DriverMachine): SshTarget {
  return {
    address: endpointOf(driver, machine).ssh,
    user: record.user,
    hostKeyAlias: record.uuid,
    folder: machine.folder,
  };
}

/** For a machine that was made before. */
export async function accessOf(
  deps: MachineDeps,
  driver: Driver,
  stored: StoredMachine,
  seconds: number,
): Promise<Access> {
  const {machine} = await observeMachine(driver, viewOf(stored), await driverContext(deps));
  return {deps, driver, record: stored.record, machine, seconds};
}

async function reachBySsh(access: Access, proven: boolean): Promise<void> {
  await waitForLogin(sshTarget(access.driver, access.record, access.machine), proven, patienceOf(access));
}

async function enrol(access: Access): Promise<void> {
  const {deps, driver, record, machine} = access;
  const {ssh, docker, privateAddress} = endpointOf(driver, machine);
  const names = new Set([
    record.name,
    'localhost',
    '127.0.0.1',
    ssh.host,
    docker.host,
    ...(record.certificateNames ?? []),
  ]);
  if (privateAddress !== undefined) names.add(privateAddress);
  await enrolOverSsh({
    target: sshTarget(driver, record, machine),
    enrolment: await deps.runtime.enrolment(),
    extraNames: [...names],
    ...(access.hostKey === undefined ? {} : {hostKey: access.hostKey}),
    patience: patienceOf(access),
  });
}

/** Resolves once Docker answers by mutual TLS under the machine's stable name. */
async function reachDocker(access: Access): Promise<void> {
  const {deps, driver, record, machine} = access;
  await ensureClientCertificate(deps.runtime, machine.folder, deps.runtime.operator);
  const target = {address: endpointOf(driver, machine).docker, uuid: record.uuid, folder: machine.folder};
  let last: unknown;
  await attempt(
    patienceOf(access),
    async leftMs => {
      try {
        await ping(target, Math.min(PING_TIMEOUT_MS, leftMs), deps.signal);
        return true;
      } catch (error) {
        last = error;
        return false;
      }
    },
    () => {
      const why = last instanceof Error ? last.message : String(last);
      return new MachineError('docker-silent', `Docker did not answer within ${access.seconds} s (${why})`, {
        cause: last,
      });
    },
  );
  const {name, uuid} = record;
  // Its address or the client's certificate may be new.
  await writeDockerContext(deps.runtime.env, {
    name,
    uuid,
    url: tcpUrl(target.address),
    folder: machine.folder,
  });
}

export const accessSteps: AccessSteps = {ssh: reachBySsh, enrol, docker: reachDocker};

function patienceOf(access: Access): Patience {
  const {deps, driver, machine} = access;
  return {
    clock: deps.runtime.clock,
    signal: deps.signal,
    seconds: access.seconds,
    stillWorthIt: async () => {
      const {state, detail} = await observeMachine(driver, machine, await driverContext(deps));
      if (state !== 'Stopped' && state !== 'None' && state !== 'Error') return;
      const log = driver.consoleLog?.(machine);
      const said = log === undefined ? '' : await lastConsoleLine(log);
      throw new MachineError('not-running', `machine "${machine.name}" stopped while it was awaited`, {
        remedy:
          said === ''
            ? (detail ?? `see hawser machine inspect ${machine.name}`)
            : `its console (${log}) ends with: ${said}`,
      });
    },
  };
}

/** Shows the console's last line beside a running step until disposed. */
export function followConsole(driver: Driver, machine: DriverMachine, step: ProgressStep): Disposable {
  const log = driver.consoleLog?.(machine);
  if (log === undefined) return {[Symbol.dispose]: () => undefined};
  const timer = setInterval(() => {
    void lastConsoleLine(log).then(line => {
      if (line !== '') step.update(line);
    });
  }, CONSOLE_INTERVAL_MS);
  return {[Symbol.dispose]: () => clearInterval(timer)};
}
