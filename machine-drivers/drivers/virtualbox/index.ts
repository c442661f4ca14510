/** The virtualbox driver: machines of the operator's own VirtualBox, by VBoxManage. */
import {mkdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {
  Driver,
  DriverContext,
  DriverHost,
  DriverMachine,
  Found,
  MachineState,
  Observation,
  Resources,
} from '../../driver.ts';
import {MachineError, checkFailed} from '../../errors.ts';
import {forwardedPorts, isFreePort} from '../../forwarded-ports.ts';
import {parseCidr, isInDefaultRange} from './cidr.ts';
import {disksOf, dropMedium, findRawDisk, makeConfigDisk, makeDisk} from './disks.ts';
import {buildHardware, groupOf, registerMachine} from './hardware.ts';
import {parseMachineInfo, parseMachineList, stateOf} from './machine-info.ts';
import type {MachineInfo} from './machine-info.ts';
import {hostonlyFiles, releaseAdapter, reserveNetwork, setForwards} from './network.ts';
import {virtualboxPublisher} from './ova/publisher.ts';
import {configureVirtualbox, readVirtualboxSettings, virtualboxFlags} from './settings.ts';
import {VboxRefusal, isMissing, vboxManage} from './vboxmanage.ts';
import type {VboxManage} from './vboxmanage.ts';

const OLDEST_MAJOR = 6;
const POLL_MS = 500;
const OFF_SECONDS = 30;
const networksConf = '/etc/vbox/networks.conf';

const steps = [
  {name: 'network', title: 'Choosing ports and addresses'},
  {name: 'disk', title: 'Cloning the image'},
  {name: 'config', title: 'Writing the first-boot configuration'},
  {name: 'vm', title: 'Registering the machine'},
  {name: 'hardware', title: 'Putting the machine together'},
  {name: 'boot', title: 'Starting the machine', volatile: true},
] as const;

export const virtualboxDriver: Driver = {
  name: 'virtualbox',
  summary: 'machines of VirtualBox on this computer',
  flags: virtualboxFlags,
  local: true,
  sizeFlag: 'virtualbox-memory',
  parallel: 4,
  configure: configureVirtualbox,
  preCreateCheck: check,
  plan: () => steps,
  ensure: async (step, machine, host) => {
    const settings = readVirtualboxSettings(machine.settings);
    const vbox = vboxManage(settings.program, host);
    await mkdir(disksOf(machine).folder, {recursive: true, mode: 0o700});
    return refusalsExplained(async () => {
      switch (step) {
        case 'network':
          return reserveNetwork(machine, settings, vbox, host);
        case 'disk':
          if ((await infoOf(vbox, machine.uuid)) === undefined) await makeDisk(machine, settings, vbox, host);
          return {};
        case 'config':
          await host.firstBoot(hostonlyFiles(machine, settings));
          if ((await infoOf(vbox, machine.uuid)) === undefined) await makeConfigDisk(machine, vbox, host);
          return {};
        case 'vm':
          if ((await infoOf(vbox, machine.uuid)) === undefined) await registerMachine(machine, vbox, host);
          return {};
        case 'hardware': {
          const info = await knownInfo(vbox, machine);
          if (stateOf(info) === 'Stopped') await buildHardware(machine, settings, info, vbox);
          return {};
        }
        case 'boot':
          return boot(machine, host);
        default:
          throw new MachineError('driver-failed', `virtualbox has no step "${step}"`);
      }
    });
  },
  observe: async (machines, context) =>
    new Map(
      await Promise.all(
        machines.map(async machine => [machine.uuid, await observeOne(machine, context)] as const),
      ),
    ),
  start: boot,
  stop: async (machine, host, graceSeconds) => {
    const vbox = vboxOf(machine, host);
    if (stateOf(await knownInfo(vbox, machine)) === 'Paused') await vbox('controlvm', machine.uuid, 'resume');
    await vbox('controlvm', machine.uuid, 'acpipowerbutton');
    if (await waitUntilOff(machine, vbox, host, graceSeconds)) return;
    host.report(`it did not shut down within ${graceSeconds} s; cutting the power`);
    await cutPower(machine, vbox, host);
  },
  kill: (machine, host) => refusalsExplained(() => cutPower(machine, vboxOf(machine, host), host)),
  destroy: async (machine, host) => {
    const vbox = vboxOf(machine, host);
    await refusalsExplained(async () => {
      if ((await infoOf(vbox, machine.uuid)) !== undefined) {
        await cutPower(machine, vbox, host);
        await vbox('unregistervm', machine.uuid, '--delete');
      }
      for (const path of [disksOf(machine).disk, disksOf(machine).config]) await dropMedium(vbox, path);
      await releaseAdapter(machine, vbox, host);
    });
  },
  list: async (given, context) => {
    const vbox = vboxManage(readVirtualboxSettings(given).program, context);
    const found: Found[] = [];
    for (const {name, uuid} of parseMachineList(await vbox('list', 'vms'))) {
      const groups = (await infoOf(vbox, uuid))?.get('groups')?.split(',') ?? [];
      if (!groups.includes(groupOf(context.fleet))) continue;
      const created = /^Value: (.*)$/m.exec(await vbox('getextradata', uuid, 'hawser/created'))?.[1] ?? '';
      found.push({uuid, name, generation: 1, created, what: `VirtualBox machine ${name}`, resources: {}});
    }
    return found;
  },
  endpoint: machine => {
    const ports = forwardedPorts(machine.resources);
    if (ports === undefined) return undefined;
    const shared = machine.resources['hostonlyAddress'];
    return {
      ssh: {host: '127.0.0.1', port: ports.sshPort},
      docker: {host: '127.0.0.1', port: ports.dockerPort},
      ...(typeof shared === 'string' ? {privateAddress: shared} : {}),
    };
  },
  // VirtualBox's NAT: the host is 10.0.2.2.
  serverFromInside: (_, address) =>
    ['127.0.0.1', 'localhost'].includes(address.host) ? {host: '10.0.2.2', port: address.port} : address,
  publisher: virtualboxPublisher,
  consoleLog: machine => join(disksOf(machine).folder, 'console.log'),
};

async function check(given: unknown, context: DriverContext): Promise<void> {
  const settings = readVirtualboxSettings(given);
  const vbox = vboxManage(settings.program, context);
  const version = await vbox('--version').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw checkFailed(why, 'install VirtualBox, or give --virtualbox-program', error);
  });
  const [, major = '', minor = '', build = ''] = /^(\d+)\.(\d+)\.(\d+)/m.exec(version) ?? [];
  if (major === '' || Number(major) < OLDEST_MAJOR)
    throw checkFailed(`VirtualBox is ${version.trim()}`, 'install VirtualBox 6.1 or newer');
  await findRawDisk(settings.image);
  if (settings.hostonly === undefined) return;
  if (process.platform === 'darwin' && Number(major) >= 7)
    throw checkFailed(
      'VirtualBox 7 on macOS has no host-only adapters',
      'leave out --virtualbox-hostonly-cidr',
    );
  const cidr = parseCidr(settings.hostonly.cidr);
  const restricted = Number(major) > 6 || Number(minor) > 1 || Number(build) >= 28;
  if (
    !restricted ||
    isInDefaultRange(cidr) ||
    (await stat(networksConf).catch(() => undefined)) !== undefined
  )
    return;
  throw checkFailed(
    `VirtualBox ${version.trim()} allows host-only networks in 192.168.56.0/21 only, not ${settings.hostonly.cidr}`,
    `give --virtualbox-hostonly-cidr 192.168.56.1/24, or allow others in ${networksConf}`,
  );
}

function vboxOf(machine: DriverMachine, host: DriverContext): VboxManage {
  return vboxManage(readVirtualboxSettings(machine.settings).program, host);
}

/** Undefined when VirtualBox has no such machine. */
async function infoOf(vbox: VboxManage, uuid: string): Promise<MachineInfo | undefined> {
  try {
    return parseMachineInfo(await vbox('showvminfo', uuid, '--machinereadable'));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function knownInfo(vbox: VboxManage, machine: DriverMachine): Promise<MachineInfo> {
  const info = await infoOf(vbox, machine.uuid);
  if (info !== undefined) return info;
  throw new MachineError('driver-failed', `VirtualBox has no machine "${machine.name}" any more`, {
    remedy: `hawser machine rm ${machine.name}`,
  });
}

async function observeOne(machine: DriverMachine, context: DriverContext): Promise<Observation> {
  return refusalsExplained(async () => {
    const info = await infoOf(vboxOf(machine, context), machine.uuid);
    return {state: info === undefined ? 'None' : stateOf(info)};
  });
}

async function boot(machine: DriverMachine, host: DriverHost): Promise<Resources> {
  const settings = readVirtualboxSettings(machine.settings);
  const vbox = vboxManage(settings.program, host);
  return refusalsExplained(async () => {
    const info = await knownInfo(vbox, machine);
    const state: MachineState = stateOf(info);
    if (state === 'Running' || state === 'Starting') return {};
    if (state === 'Paused') {
      await vbox('controlvm', machine.uuid, 'resume');
      return {};
    }
    // A saved machine keeps its rules; of one that is off, a port may have been taken by now.
    let resources: Resources = {};
    if (state === 'Stopped') {
      const ports = forwardedPorts(machine.resources);
      const free =
        ports !== undefined && (await isFreePort(ports.sshPort)) && (await isFreePort(ports.dockerPort));
      if (!free) resources = await reserveNetwork(machine, settings, vbox, host);
      await setForwards({...machine, resources: {...machine.resources, ...resources}}, info, vbox);
    }
    await vbox('startvm', machine.uuid, '--type', settings.uiType);
    return resources;
  });
}

async function cutPower(machine: DriverMachine, vbox: VboxManage, host: DriverHost): Promise<void> {
  const info = await infoOf(vbox, machine.uuid);
  if (info === undefined || stateOf(info) === 'Stopped') return;
  if (stateOf(info) === 'Saved') await vbox('discardstate', machine.uuid);
  else {
    await vbox('controlvm', machine.uuid, 'poweroff');
    await waitUntilOff(machine, vbox, host, OFF_SECONDS);
  }
}

async function waitUntilOff(
  machine: DriverMachine,
  vbox: VboxManage,
  host: DriverHost,
  seconds: number,
): Promise<boolean> {
  const deadline = host.clock.now().getTime() + seconds * 1000;
  for (;;) {
    const info = await infoOf(vbox, machine.uuid);
    if (info === undefined || stateOf(info) === 'Stopped') return true;
    if (host.clock.now().getTime() >= deadline) return false;
    await host.clock.sleep(POLL_MS, host.signal);
  }
}

/** What VirtualBox says as our error, with what can be done where it is known. */
async function refusalsExplained<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof VboxRefusal)) throw error;
    const known = remedies.find(([pattern]) => pattern.test(error.message));
    throw new MachineError('driver-failed', `VirtualBox: ${error.message}`, {
      cause: error,
      ...(known === undefined ? {} : {remedy: known[1]}),
    });
  }
}

const remedies: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /VERR_VMX_NO_VMX|VERR_SVM_NO_SVM|VT-x is (?:not available|disabled)/i,
    'switch virtualisation on in the firmware',
  ],
  [/VERR_VMX_IN_VMX_ROOT_MODE|VERR_SVM_IN_USE/i, 'another hypervisor has the processor: stop it'],
  [/already exists/i, 'a VirtualBox machine of this name is there already: choose another name'],
  [/still attached to/i, 'a machine that was forgotten still has this disk: hawser machine gc -d virtualbox'],
  [/NS_ERROR_FAILURE|kernel driver not|vboxdrv/i, 'load VirtualBox’s kernel driver: /sbin/vboxconfig'],
  [
    /E_ACCESSDENIED.*(?:range|networks\.conf)|not within the allowed ranges/i,
    `allow the network in ${networksConf}`,
  ],
];
