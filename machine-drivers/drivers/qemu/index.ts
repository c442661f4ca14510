/** The qemu driver: a machine is an emulator process of the operator's own, without any privilege. */
import {mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {Driver, DriverHost, DriverMachine, MachineState, Resources} from '../../driver.ts';
import {MachineError, checkFailed} from '../../errors.ts';
import {exec} from '../../../services/common/exec.ts';
import {boot} from './boot.ts';
import {ensureDisk} from './disk.ts';
import {findEmulator, killEmulator, waitForEnd} from './emulator.ts';
import {ensureVars, findFirmware} from './firmware.ts';
import {innerHost, innerServer} from './addresses.ts';
import {findBaseDisk, releaseBaseDisks} from './image.ts';
import {filesOf, pidFileName, reservationOf, reserveAddresses, wireFiles} from './layout.ts';
import {qmp, qmpStatus} from './qmp.ts';
import {configureQemu, qemuFlags, readSettings} from './settings.ts';

const CHECK_TIMEOUT_MS = 15_000;
const KILL_TIMEOUT_MS = 10_000;
const MONITOR_TIMEOUT_MS = 5000;

const steps = [
  {name: 'addresses', title: 'Choosing ports and addresses'},
  {name: 'disk', title: 'Making the disk'},
  {name: 'firmware', title: 'Preparing the firmware'},
  {name: 'config', title: 'Writing the first-boot configuration'},
  {name: 'boot', title: 'Starting the machine', volatile: true},
] as const;

type StepName = (typeof steps)[number]['name'];

type Ensure = (machine: DriverMachine, host: DriverHost) => Promise<Resources>;

const executors: Readonly<Record<StepName, Ensure>> = {
  addresses: (machine, host) => reserveAddresses(machine, host),
  disk: async (machine, host) => {
    const {image, diskBytes} = readSettings(machine.settings);
    await ensureDisk(host, await findBaseDisk(image), filesOf(machine).disk, diskBytes);
    return {};
  },
  firmware: async machine => {
    const settings = readSettings(machine.settings);
    const {secureBootVars} = await findBaseDisk(settings.image);
    const found = await findFirmware({
      secureBoot: settings.secureBoot,
      code: settings.firmware,
      secureBootVars,
    });
    await ensureVars(found.vars, filesOf(machine).vars);
    return {firmware: found.code};
  },
  config: async (machine, host) => {
    await host.firstBoot(wireFiles(machine));
    return {};
  },
  boot: (machine, host) => boot(machine, host),
};

export const qemuDriver: Driver = {
  name: 'qemu',
  summary: 'local virtual machines, without root and without a daemon',
  flags: qemuFlags,
  local: true,
  sizeFlag: 'qemu-memory',
  parallel: 4,
  configure: configureQemu,
  preCreateCheck: async (given, host) => {
    const settings = readSettings(given);
    await checkProgram(settings.program, host.signal);
    await checkProgram('qemu-img', host.signal);
    if (settings.server !== undefined) await checkSocat(host.signal);
    const base = await findBaseDisk(settings.image);
    await findFirmware({
      secureBoot: settings.secureBoot,
      code: settings.firmware,
      secureBootVars: base.secureBootVars,
    });
  },
  plan: () => steps,
  ensure: async (step, machine, host) => {
    const known = steps.find(candidate => candidate.name === step);
    if (known === undefined) throw new MachineError('driver-failed', `qemu has no step "${step}"`);
    await mkdir(filesOf(machine).folder, {recursive: true, mode: 0o700});
    return executors[known.name](machine, host);
  },
  observe: async machines =>
    new Map(
      await Promise.all(
        machines.map(async machine => [machine.uuid, {state: await stateOf(machine)}] as const),
      ),
    ),
  start: boot,
  stop: async (machine, host, graceSeconds) => {
    const files = filesOf(machine);
    const emulator = await findEmulator(files.pidFile);
    if (emulator === undefined) return;
    await qmp(files.monitor, 'system_powerdown', MONITOR_TIMEOUT_MS);
    if (await waitForEnd(emulator, host.clock, graceSeconds * 1000, host.signal)) return;
    host.report(`it did not shut down within ${graceSeconds} s; cutting the power`);
    await cutPower(machine, host);
  },
  kill: cutPower,
  destroy: async (machine, host) => {
    await cutPower(machine, host);
    await rm(filesOf(machine).monitor, {force: true});
    await host.reserve('released', async others => {
      await releaseBaseDisks(host.paths, new Set(others.map(other => String(other['base']))));
      return {};
    });
  },
  endpoint: machine => {
    const reserved = reservationOf(machine);
    if (reserved === undefined) return undefined;
    return {
      ssh: {host: '127.0.0.1', port: reserved.sshPort},
      docker: {host: '127.0.0.1', port: reserved.dockerPort},
      privateAddress: reserved.wireAddress,
    };
  },
  serverFromInside: (given, address) => {
    const {server} = readSettings(given);
    if (server?.host === address.host && server.port === address.port)
      return {host: innerServer, port: address.port};
    const loopback = ['127.0.0.1', 'localhost'].includes(address.host);
    return loopback ? {host: innerHost, port: address.port} : address;
  },
  consoleLog: machine => filesOf(machine).console,
  abandon: async (folder, clock) => {
    const emulator = await findEmulator(join(folder, 'qemu', pidFileName));
    if (emulator !== undefined) await killEmulator(emulator, clock, KILL_TIMEOUT_MS);
  },
};

async function stateOf(machine: DriverMachine): Promise<MachineState> {
  const files = filesOf(machine);
  if ((await findEmulator(files.pidFile)) === undefined) return 'Stopped';
  try {
    const status = await qmpStatus(files.monitor, MONITOR_TIMEOUT_MS);
    if (status === 'paused' || status === 'prelaunch') return 'Paused';
    return status === 'internal-error' || status === 'io-error' || status === 'guest-panicked'
      ? 'Error'
      : 'Running';
  } catch {
    // One client at a time: a busy monitor belongs to a process that is there.
    return (await findEmulator(files.pidFile)) === undefined ? 'Stopped' : 'Running';
  }
}

async function cutPower(machine: DriverMachine, host: Pick<DriverHost, 'clock'>): Promise<void> {
  const emulator = await findEmulator(filesOf(machine).pidFile);
  if (emulator === undefined) return;
  if (await killEmulator(emulator, host.clock, KILL_TIMEOUT_MS)) return;
  throw new MachineError(
    'driver-failed',
    `the emulator of "${machine.name}" (process ${emulator.pid}) does not end`,
  );
}

async function checkSocat(signal: AbortSignal): Promise<void> {
  try {
    await exec(['socat', '-V'], {timeoutMs: CHECK_TIMEOUT_MS, signal});
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw checkFailed(why, 'install socat, or leave out --qemu-server and --qemu-restrict', error);
  }
}

async function checkProgram(program: string, signal: AbortSignal): Promise<void> {
  try {
    await exec([program, '--version'], {timeoutMs: CHECK_TIMEOUT_MS, signal});
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw checkFailed(
      why,
      'install QEMU (Debian and Ubuntu: apt-get install qemu-system-x86 qemu-utils)',
      error,
    );
  }
}
