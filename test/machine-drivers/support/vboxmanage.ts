/**
 * A stand-in for VBoxManage: keeps state, refuses what it does not know, and has the recorded oddities of the real one
 * (errors with exit code 0, "object is not ready", adapters that appear late, guest properties of 1 KB). Not
 * VirtualBox: a test against it shows that our calls are well formed and idempotent, no more. argv[2] is the state file.
 */
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  rmdirSync,
  writeFileSync,
  existsSync,
  copyFileSync,
} from 'node:fs';
import {randomUUID} from 'node:crypto';
import {join} from 'node:path';

export interface Vm {
  name: string;
  uuid: string;
  folder: string;
  group: string;
  state: string;
  /** Questions until a shutdown that was asked for has happened; never when undefined. */
  offAfter?: number;
  settings: Record<string, string>;
  forwards: Record<string, string>;
  controllers: Record<string, Record<string, string>>;
  extra: Record<string, string>;
  properties: Record<string, string>;
}

export interface VboxState {
  version: string;
  vms: Vm[];
  /** Paths. */
  media: string[];
  adapters: {name: string; address: string; netmask: string; listedAfter: number}[];
  odd: {
    /** So many calls to come find the object not ready. */
    notReady?: number;
    /** Refusals have exit code 0. */
    codeZero?: boolean;
    /** A new adapter is listed only after so many lists. */
    lateAdapters?: number;
    /** /etc/vbox/networks.conf allows every network. */
    anyNetwork?: boolean;
    /** The guest does not hear the power button. */
    deaf?: boolean;
    noVmx?: boolean;
  };
  calls: string[][];
}

export const freshState: VboxState = {
  version: '7.0.20r163906',
  vms: [],
  media: [],
  adapters: [],
  odd: {},
  calls: [],
};

class Refusal extends Error {}
class Usage extends Error {}

const path = process.argv[2] ?? '';
const words = process.argv.slice(3);

function locked(work: (state: VboxState) => string): string {
  const lock = `${path}.lock`;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  try {
    const state = JSON.parse(readFileSync(path, 'utf8')) as VboxState;
    state.calls.push(words);
    try {
      return work(state);
    } finally {
      writeFileSync(`${path}.new`, JSON.stringify(state));
      renameSync(`${path}.new`, path);
    }
  } finally {
    rmdirSync(lock);
  }
}

/** Options as `--name value`; anything else is a usage error, as it is for the real one. */
function options(
  given: readonly string[],
  known: Readonly<Record<string, number>>,
): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (let at = 0; at < given.length;) {
    const [, name = ''] = /^--(.+)$/.exec(given[at] ?? '') ?? [];
    const count = known[name];
    if (count === undefined) throw new Usage(`Unknown option: ${given[at] ?? ''}`);
    const taken = given.slice(at + 1, at + 1 + count);
    if (taken.length < count) throw new Usage(`Missing argument to '--${name}'`);
    values[name] = taken;
    at += 1 + count;
  }
  return values;
}

function vmOf(state: VboxState, id: string | undefined): Vm {
  const vm = state.vms.find(one => one.uuid === id || one.name === id);
  if (vm === undefined) throw new Refusal(`Could not find a registered machine named '${id ?? ''}'`);
  if (vm.offAfter !== undefined && vm.offAfter-- <= 0) {
    vm.state = 'poweroff';
    delete vm.offAfter;
  }
  return vm;
}

function mustBeOff(vm: Vm): void {
  if (vm.state !== 'poweroff' && vm.state !== 'aborted')
    throw new Refusal(`The machine '${vm.name}' is already locked for a session (or being unlocked)`);
}

const onOff = ['on', 'off'];
const nicTypes = ['Am79C970A', 'Am79C973', '82540EM', '82543GC', '82545EM', 'virtio'];
/** modifyvm's options: how many values, and which the first may be. */
const modifiable: Readonly<Record<string, {count: number; values?: readonly string[] | RegExp}>> = {
  firmware: {count: 1, values: ['bios', 'efi', 'efi32', 'efi64']},
  cpus: {count: 1, values: /^([1-9]|[12]\d|3[0-2])$/},
  memory: {count: 1, values: /^\d+$/},
  vram: {count: 1, values: /^\d+$/},
  graphicscontroller: {count: 1, values: ['none', 'vboxvga', 'vmsvga', 'vboxsvga']},
  acpi: {count: 1, values: onOff},
  ioapic: {count: 1, values: onOff},
  rtcuseutc: {count: 1, values: onOff},
  hpet: {count: 1, values: onOff},
  boot1: {count: 1, values: ['none', 'floppy', 'dvd', 'disk', 'net']},
  boot2: {count: 1, values: ['none', 'floppy', 'dvd', 'disk', 'net']},
  boot3: {count: 1, values: ['none', 'floppy', 'dvd', 'disk', 'net']},
  boot4: {count: 1, values: ['none', 'floppy', 'dvd', 'disk', 'net']},
  uart1: {count: 2, values: ['0x3F8']},
  uartmode1: {count: 2, values: ['file']},
  nic1: {count: 1, values: ['nat']},
  nictype1: {count: 1, values: nicTypes},
  cableconnected1: {count: 1, values: onOff},
  macaddress1: {count: 1, values: /^080027[0-9A-F]{6}$/},
  natdnshostresolver1: {count: 1, values: onOff},
  natdnsproxy1: {count: 1, values: onOff},
  nic2: {count: 1, values: ['hostonly']},
  nictype2: {count: 1, values: nicTypes},
  nicpromisc2: {count: 1, values: ['deny', 'allow-vms', 'allow-all']},
  hostonlyadapter2: {count: 1},
  cableconnected2: {count: 1, values: onOff},
  macaddress2: {count: 1, values: /^080027[0-9A-F]{6}$/},
};

function modifyvm(state: VboxState, [id, ...rest]: string[]): string {
  const vm = vmOf(state, id);
  mustBeOff(vm);
  if (rest[0] === '--natpf1') return natRule(vm, rest.slice(1));
  const counts = Object.fromEntries(Object.entries(modifiable).map(([name, {count}]) => [name, count]));
  for (const [name, values] of Object.entries(options(rest, counts))) {
    const allowed = modifiable[name]?.values;
    const first = values[0] ?? '';
    const fits =
      allowed === undefined || (allowed instanceof RegExp ? allowed.test(first) : allowed.includes(first));
    if (!fits) throw new Usage(`Invalid ${name} '${first}'`);
    if (name === 'hostonlyadapter2' && !state.adapters.some(one => one.name === first))
      throw new Refusal(`Host network interface '${first}' does not exist`);
    vm.settings[name] = values.join(' ');
  }
  return '';
}

function natRule(vm: Vm, rest: string[]): string {
  const [rule = '', name = ''] = rest;
  if (rule === 'delete') {
    if (vm.forwards[name] === undefined)
      throw new Refusal(`Could not find a NAT rule named '${name}' (VBOX_E_OBJECT_NOT_FOUND)`);
    delete vm.forwards[name];
    return '';
  }
  const [title = '', protocol, address, port, , guest] = rule.split(',');
  if (
    rest.length !== 1 ||
    protocol !== 'tcp' ||
    address !== '127.0.0.1' ||
    !/^\d+$/.test(port ?? '') ||
    !/^\d+$/.test(guest ?? '')
  )
    throw new Usage(`Invalid port forwarding rule '${rule}'`);
  if (vm.forwards[title] !== undefined) throw new Refusal(`A NAT rule of this name already exists`);
  vm.forwards[title] = rule;
  return '';
}

function showvminfo(state: VboxState, [id, flag]: string[]): string {
  if (flag !== '--machinereadable') throw new Usage('only --machinereadable is known here');
  const vm = vmOf(state, id);
  return [
    `name="${vm.name}"`,
    `groups="${vm.group}"`,
    `ostype="Linux 2.6 / 3.x / 4.x (64-bit)"`,
    `UUID="${vm.uuid}"`,
    `CfgFile="${vm.folder}/${vm.name}/${vm.name}.vbox"`,
    ...Object.entries(vm.settings).map(([name, value]) => `${name}="${value}"`),
    ...Object.keys(vm.controllers).map((name, index) => `storagecontrollername${index}="${name}"`),
    ...Object.entries(vm.controllers).flatMap(([name, ports]) =>
      Object.entries(ports).map(([port, medium]) => `"${name}-${port}-0"="${medium}"`),
    ),
    ...Object.values(vm.forwards).map((rule, index) => `Forwarding(${index})="${rule}"`),
    `VMState="${vm.state}"`,
    `VMStateChangeTime="2026-01-01T00:00:00.000000000"`,
    '',
  ].join('\n');
}

function createvm(state: VboxState, rest: string[]): string {
  const known = {name: 1, uuid: 1, basefolder: 1, groups: 1, ostype: 1, register: 0};
  const {name = [], uuid = [], basefolder = [], groups = [], ostype, register} = options(rest, known);
  const vm: Vm = {
    name: name[0] ?? '',
    uuid: uuid[0] ?? randomUUID(),
    folder: basefolder[0] ?? '',
    group: groups[0] ?? '/',
    state: 'poweroff',
    settings: {},
    forwards: {},
    controllers: {},
    extra: {},
    properties: {},
  };
  if (register === undefined || ostype?.[0] !== 'Linux26_64')
    throw new Usage('createvm wants --register and a known --ostype');
  if (state.vms.some(one => one.name === vm.name || one.uuid === vm.uuid))
    throw new Refusal(`Machine settings file '${vm.folder}/${vm.name}/${vm.name}.vbox' already exists`);
  mkdirSync(join(vm.folder, vm.name), {recursive: true});
  writeFileSync(join(vm.folder, vm.name, `${vm.name}.vbox`), '');
  state.vms.push(vm);
  return `Virtual machine '${vm.name}' is created and registered.\nUUID: ${vm.uuid}\n`;
}

function storage(state: VboxState, command: string, [id, ...rest]: string[]): string {
  const vm = vmOf(state, id);
  mustBeOff(vm);
  if (command === 'storagectl') {
    const {name = [], add = []} = options(rest, {name: 1, add: 1, portcount: 1, hostiocache: 1});
    if (add[0] !== 'sata') throw new Usage(`Invalid --add argument '${add[0] ?? ''}'`);
    if (vm.controllers[name[0] ?? ''] !== undefined)
      throw new Refusal(`Storage controller named '${name[0] ?? ''}' already exists`);
    vm.controllers[name[0] ?? ''] = {};
    return '';
  }
  const given = options(rest, {storagectl: 1, port: 1, device: 1, type: 1, medium: 1});
  const controller = vm.controllers[given['storagectl']?.[0] ?? ''];
  const medium = given['medium']?.[0] ?? '';
  if (controller === undefined)
    throw new Refusal(`Could not find a storage controller named '${given['storagectl']?.[0] ?? ''}'`);
  if (given['type']?.[0] !== 'hdd' || given['device']?.[0] !== '0') throw new Usage('Invalid storageattach');
  if (!existsSync(medium))
    throw new Refusal(`Could not find file for the medium '${medium}' (VERR_FILE_NOT_FOUND)`);
  const other = state.vms.find(
    one => one !== vm && Object.values(one.controllers).some(ports => Object.values(ports).includes(medium)),
  );
  if (other !== undefined) throw new Refusal(`Medium '${medium}' is already attached to '${other.name}'`);
  controller[given['port']?.[0] ?? ''] = medium;
  if (!state.media.includes(medium)) state.media.push(medium);
  return '';
}

function medium(state: VboxState, command: string, rest: string[]): string {
  if (command === 'convertfromraw') {
    const [from = '', to = '', ...more] = rest;
    if (options(more, {format: 1})['format']?.[0] !== 'VDI') throw new Usage('only VDI is known here');
    if (!existsSync(from)) throw new Refusal(`Cannot open file "${from}" for reading: VERR_FILE_NOT_FOUND`);
    if (existsSync(to)) throw new Refusal(`Cannot create the disk image "${to}": VERR_ALREADY_EXISTS`);
    copyFileSync(from, to);
    return `Converting from raw image file="${from}" to file="${to}"...\n`;
  }
  const [kind, file = '', ...more] = rest;
  if (kind !== 'disk') throw new Usage(`Invalid type '${kind ?? ''}'`);
  if (command === 'closemedium') {
    options(more, {delete: 0});
    if (
      state.vms.some(vm => Object.values(vm.controllers).some(ports => Object.values(ports).includes(file)))
    )
      throw new Refusal(
        `Medium '${file}' cannot be closed because it is still attached to 1 virtual machines`,
      );
    if (!state.media.includes(file) && !existsSync(file))
      throw new Refusal(`Could not find file for the medium '${file}' (VERR_FILE_NOT_FOUND)`);
    state.media = state.media.filter(one => one !== file);
    rmSync(file, {force: true});
    return '';
  }
  if (!existsSync(file))
    throw new Refusal(`Could not find file for the medium '${file}' (VERR_FILE_NOT_FOUND)`);
  if (command === 'modifymedium') {
    if (!/^\d+$/.test(options(more, {resize: 1})['resize']?.[0] ?? '')) throw new Usage('Invalid --resize');
    return '0%...10%...100%\n';
  }
  const [to = '', ...format] = more;
  options(format, {format: 1});
  if (existsSync(to)) throw new Refusal(`Hard disk '${to}' already exists (VERR_ALREADY_EXISTS)`);
  copyFileSync(file, to);
  state.media.push(to);
  return `Clone medium created in format 'VDI'. UUID: ${randomUUID()}\n`;
}

function controlvm(state: VboxState, [id, verb = '']: string[]): string {
  const vm = vmOf(state, id);
  if (!['running', 'paused'].includes(vm.state))
    throw new Refusal(`Machine '${vm.name}' is not currently running`);
  switch (verb) {
    case 'poweroff':
      vm.state = 'poweroff';
      delete vm.offAfter;
      break;
    case 'acpipowerbutton':
      if (vm.state === 'paused') throw new Refusal('Invalid machine state: Paused');
      if (state.odd.deaf !== true) vm.offAfter = 1;
      break;
    case 'pause':
      vm.state = 'paused';
      break;
    case 'resume':
      if (vm.state !== 'paused') throw new Refusal(`Cannot resume the machine as it is not paused`);
      vm.state = 'running';
      break;
    case 'savestate':
      vm.state = 'saved';
      break;
    default:
      throw new Usage(`Invalid parameter '${verb}'`);
  }
  return '';
}

function hostonlyif(state: VboxState, [verb, name = '', ...rest]: string[]): string {
  if (verb === 'create') {
    const next =
      Array.from({length: 128}, (_, index) => `vboxnet${index}`).find(
        one => !state.adapters.some(known => known.name === one),
      ) ?? '';
    state.adapters.push({
      name: next,
      address: '192.168.56.1',
      netmask: '15.0.0.0',
      listedAfter: state.odd.lateAdapters ?? 0,
    });
    return `0%...10%...100%\nInterface '${next}' was successfully created\n`;
  }
  const adapter = state.adapters.find(one => one.name === name && one.listedAfter <= 0);
  if (adapter === undefined)
    throw new Refusal(`The host network interface named '${name}' could not be found; it does not exist`);
  if (verb === 'remove') state.adapters = state.adapters.filter(one => one !== adapter);
  else if (verb === 'ipconfig') {
    const {ip = [], netmask = []} = options(rest, {ip: 1, netmask: 1});
    const [, third] = /^192\.168\.(\d+)\.\d+$/.exec(ip[0] ?? '') ?? [];
    if (state.odd.anyNetwork !== true && !(Number(third) >= 56 && Number(third) <= 63))
      throw new Refusal(
        'Code E_ACCESSDENIED (0x80070005) - Access denied: the IP address is not within the allowed ranges of /etc/vbox/networks.conf',
      );
    adapter.address = ip[0] ?? '';
    adapter.netmask = netmask[0] ?? '';
  } else throw new Usage(`Invalid parameter '${verb ?? ''}'`);
  return '';
}

function list(state: VboxState, [what, ...more]: string[]): string {
  if (more.length > 0) throw new Usage(`Unknown option: ${more[0] ?? ''}`);
  if (what === 'vms') return state.vms.map(vm => `"${vm.name}" {${vm.uuid}}\n`).join('');
  if (what === 'runningvms')
    return state.vms
      .filter(vm => vm.state === 'running')
      .map(vm => `"${vm.name}" {${vm.uuid}}\n`)
      .join('');
  if (what !== 'hostonlyifs') throw new Usage(`Unknown list '${what ?? ''}'`);
  return state.adapters
    .filter(adapter => adapter.listedAfter-- <= 0)
    .map(({name, address, netmask}) =>
      [
        `Name:            ${name}`,
        'GUID:            786f6276-656e-4074-8000-0a0027000000',
        'DHCP:            Disabled',
        `IPAddress:       ${address}`,
        `NetworkMask:     ${netmask}`,
        'Status:          Up',
        `VBoxNetworkName: HostInterfaceNetworking-${name}`,
        '',
        '',
      ].join('\n'),
    )
    .join('');
}

function run(state: VboxState): string {
  const [command = '', ...rest] = words;
  if (command === '--version') return `${state.version}\n`;
  if ((state.odd.notReady ?? 0) > 0) {
    state.odd.notReady = (state.odd.notReady ?? 0) - 1;
    throw new Refusal('The object is not ready (E_ACCESSDENIED 0x80070005)');
  }
  switch (command) {
    case 'list':
      return list(state, rest);
    case 'showvminfo':
      return showvminfo(state, rest);
    case 'createvm':
      return createvm(state, rest);
    case 'modifyvm':
      return modifyvm(state, rest);
    case 'storagectl':
    case 'storageattach':
      return storage(state, command, rest);
    case 'convertfromraw':
    case 'clonemedium':
    case 'modifymedium':
    case 'closemedium':
      return medium(state, command, rest);
    case 'startvm': {
      const [id, ...more] = rest;
      const vm = vmOf(state, id);
      if (!['headless', 'gui', 'sdl', 'separate'].includes(options(more, {type: 1})['type']?.[0] ?? ''))
        throw new Usage('Invalid --type');
      if (vm.state === 'running' || vm.state === 'paused')
        throw new Refusal(
          `The machine '${vm.name}' is already locked by a session (or being locked or unlocked)`,
        );
      if (state.odd.noVmx === true) throw new Refusal('VT-x is not available (VERR_VMX_NO_VMX)');
      if (vm.settings['firmware'] !== 'efi') throw new Refusal('the image boots by UEFI only');
      vm.state = 'running';
      return `Waiting for VM "${vm.name}" to power on...\nVM "${vm.name}" has been successfully started.\n`;
    }
    case 'controlvm':
      return controlvm(state, rest);
    case 'discardstate': {
      const vm = vmOf(state, rest[0]);
      if (vm.state !== 'saved') throw new Refusal('Machine is not in a saved state');
      vm.state = 'poweroff';
      return '';
    }
    case 'unregistervm': {
      const vm = vmOf(state, rest[0]);
      options(rest.slice(1), {delete: 0});
      if (vm.state !== 'saved') mustBeOff(vm);
      for (const ports of Object.values(vm.controllers))
        for (const file of Object.values(ports)) {
          rmSync(file, {force: true});
          state.media = state.media.filter(one => one !== file);
        }
      rmSync(join(vm.folder, vm.name), {recursive: true, force: true});
      state.vms = state.vms.filter(one => one !== vm);
      return '0%...10%...100%\n';
    }
    case 'hostonlyif':
      return hostonlyif(state, rest);
    case 'setextradata':
      vmOf(state, rest[0]).extra[rest[1] ?? ''] = rest[2] ?? '';
      return '';
    case 'getextradata': {
      const value = vmOf(state, rest[0]).extra[rest[1] ?? ''];
      return value === undefined ? 'No value set!\n' : `Value: ${value}\n`;
    }
    case 'guestproperty': {
      const [verb, id, name = '', value = ''] = rest;
      const vm = vmOf(state, id);
      if (verb === 'get')
        return vm.properties[name] === undefined ? 'No value set!\n' : `Value: ${vm.properties[name]}\n`;
      if (verb !== 'set') throw new Usage(`Invalid parameter '${verb ?? ''}'`);
      if (Buffer.byteLength(value) > 1024)
        throw new Refusal('Failed to set the property: VERR_TOO_MUCH_DATA');
      vm.properties[name] = value;
      return '';
    }
    default:
      throw new Usage(`Invalid command '${command}'`);
  }
}

if (import.meta.main) {
  let codeZero = false;
  try {
    process.stdout.write(
      locked(state => {
        codeZero = state.odd.codeZero === true;
        return run(state);
      }),
    );
  } catch (error) {
    if (error instanceof Usage) {
      process.stderr.write(
        `Usage:\n\n  VBoxManage ${words[0] ?? ''} ...\n\nVBoxManage: error: ${error.message}\n`,
      );
      process.exitCode = 2;
    } else if (error instanceof Refusal) {
      process.stderr.write(
        `VBoxManage: error: ${error.message}\nVBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component SessionMachine\n`,
      );
      process.exitCode = codeZero ? 0 : 1;
    } else throw error;
  }
}
