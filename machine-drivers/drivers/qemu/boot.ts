/** Starts the emulator, at creation and ever after. */
import {mkdir, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {ExecError, exec} from '../../../services/common/exec.ts';
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {qemuCommand} from './command-line.ts';
import {findEmulator} from './emulator.ts';
import {fleetWire, macAddress} from './identity.ts';
import {kvmWorks} from './kvm-probe.ts';
import {filesOf, reservationOf, reserveAddresses} from './layout.ts';
import type {Reservation} from './layout.ts';
import {readSettings} from './settings.ts';

/** The emulator goes to the background when it has opened everything; with much memory that takes a while. */
const START_TIMEOUT_MS = 60_000;
/** Rounds with other ports, when somebody took ours between the choice and the start. */
const PORT_ROUNDS = 5;
/** sockaddr_un holds 108 bytes with the closing zero. */
const MAX_SOCKET_PATH = 107;

/** Makes the emulator run; returns the ports and files that it runs with. */
export async function boot(machine: DriverMachine, host: DriverHost): Promise<Resources> {
  const files = filesOf(machine);
  if (Buffer.byteLength(files.monitor) > MAX_SOCKET_PATH) {
    throw new MachineError('driver-failed', `${files.monitor} is too long for a socket`, {
      remedy: 'set HAWSER_HOME to a shorter folder',
    });
  }
  if ((await findEmulator(files.pidFile)) !== undefined) return {};
  await mkdir(dirname(files.monitor), {recursive: true, mode: 0o700});
  await rm(files.monitor, {force: true});
  const accelerator = await chooseAccelerator(machine, host);
  let reserved = reservationOf(machine);
  for (let round = 1; ; round++) {
    reserved ??= reservationOf({resources: await reserveAddresses(machine, host)});
    if (reserved === undefined) throw new MachineError('driver-failed', 'the machine has no ports yet');
    try {
      await exec(await commandFor(machine, host, reserved, accelerator), {
        timeoutMs: START_TIMEOUT_MS,
        signal: host.signal,
      });
      return {accelerator, ...reserved};
    } catch (error) {
      if (!isPortTaken(error) || round === PORT_ROUNDS) throw explain(error);
      reserved = undefined;
    }
  }
}

async function commandFor(
  machine: DriverMachine,
  host: DriverHost,
  reserved: Reservation,
  accelerator: 'kvm' | 'tcg',
): Promise<string[]> {
  const settings = readSettings(machine.settings);
  const files = filesOf(machine);
  const firmware = machine.resources['firmware'];
  if (typeof firmware !== 'string')
    throw new MachineError('driver-failed', 'the machine has no firmware yet');
  return qemuCommand({
    ...settings,
    name: machine.name,
    uuid: machine.uuid,
    accelerator,
    firmwareCode: firmware,
    firmwareVars: files.vars,
    disk: files.disk,
    config: (await host.firstBoot([])).path,
    sshPort: reserved.sshPort,
    dockerPort: reserved.dockerPort,
    outMac: macAddress(machine.uuid, 0),
    wireMac: macAddress(machine.uuid, 1),
    wire: fleetWire(host.fleet),
    console: files.console,
    monitor: files.monitor,
    pidFile: files.pidFile,
  });
}

async function chooseAccelerator(machine: DriverMachine, host: DriverHost): Promise<'kvm' | 'tcg'> {
  const {accelerator, program} = readSettings(machine.settings);
  if (accelerator === 'tcg') return 'tcg';
  host.report('asking whether KVM runs guests');
  if (await kvmWorks(program, host.paths, host.signal)) return 'kvm';
  if (accelerator === 'auto') return 'tcg';
  throw new MachineError('driver-failed', 'KVM does not run guests here', {
    remedy: 'leave out --qemu-accel kvm',
  });
}

function isPortTaken(error: unknown): boolean {
  return error instanceof ExecError && error.result.stderr.includes('Could not set up host forwarding rule');
}

function explain(error: unknown): unknown {
  if (!(error instanceof ExecError) || error.code === 'aborted') return error;
  if (isPortTaken(error)) {
    return new MachineError(
      'no-free-port',
      `the ports are taken as soon as they are chosen: ${error.message}`,
      {
        remedy: 'give another range with --qemu-ports',
        cause: error,
      },
    );
  }
  return new MachineError('driver-failed', `the machine did not start: ${error.message}`, {
    remedy: 'check memory, disk space and the --qemu flags',
    cause: error,
  });
}
