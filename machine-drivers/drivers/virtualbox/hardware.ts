/** The machine as VirtualBox keeps it: registered under our UUID, then put together. Every call may be made again. */
import {join} from 'node:path';
import type {DriverHost, DriverMachine} from '../../driver.ts';
import {disksOf} from './disks.ts';
import type {MachineInfo} from './machine-info.ts';
import {macAddress, setForwards} from './network.ts';
import type {VirtualboxSettings} from './settings.ts';
import type {VboxManage} from './vboxmanage.ts';

const CONTROLLER = 'SATA';

/** The group that machines of a store are in: given with the creation, so no machine is ever without it. */
export function groupOf(fleet: string): string {
  return `/hawser/${fleet}`;
}

/** Its UUID is ours, so it is found again whatever was written down. */
export async function registerMachine(
  machine: DriverMachine,
  vbox: VboxManage,
  host: DriverHost,
): Promise<void> {
  await vbox(
    ...[
      ['createvm', '--name', machine.name, '--uuid', machine.uuid, '--groups', groupOf(host.fleet)],
      ['--basefolder', disksOf(machine).folder, '--ostype', 'Linux26_64', '--register'],
    ].flat(),
  );
  const tags = {owner: host.operator, created: host.clock.now().toISOString()};
  for (const [name, value] of Object.entries(tags))
    await vbox('setextradata', machine.uuid, `hawser/${name}`, value);
}

export async function buildHardware(
  machine: DriverMachine,
  settings: VirtualboxSettings,
  info: MachineInfo,
  vbox: VboxManage,
): Promise<void> {
  const {uuid} = machine;
  const {disk, config, folder} = disksOf(machine);
  await vbox(
    ...[
      ['modifyvm', uuid, '--firmware', 'efi', '--cpus', String(settings.cpus)],
      ['--memory', String(settings.memoryMiB), '--vram', '16', '--graphicscontroller', 'vmsvga'],
      ['--acpi', 'on', '--ioapic', 'on', '--rtcuseutc', 'on', '--hpet', 'on'],
      ['--boot1', 'disk', '--boot2', 'none', '--boot3', 'none', '--boot4', 'none'],
      ['--uart1', '0x3F8', '4', '--uartmode1', 'file', join(folder, 'console.log')],
    ].flat(),
  );
  await vbox(
    ...[
      ['modifyvm', uuid, '--nic1', 'nat', '--nictype1', settings.natNicType, '--cableconnected1', 'on'],
      ['--macaddress1', macAddress(uuid, 1)],
      ['--natdnshostresolver1', onOff(settings.hostDnsResolver), '--natdnsproxy1', onOff(settings.dnsProxy)],
    ].flat(),
  );
  const {hostonly} = settings;
  const adapter = machine.resources['hostonlyAdapter'];
  if (hostonly !== undefined && typeof adapter === 'string') {
    await vbox(
      ...[
        ['modifyvm', uuid, '--nic2', 'hostonly', '--hostonlyadapter2', adapter],
        ['--nictype2', hostonly.nicType, '--nicpromisc2', hostonly.promiscuous, '--cableconnected2', 'on'],
        ['--macaddress2', macAddress(uuid, 2)],
      ].flat(),
    );
  }
  await setForwards(machine, info, vbox);
  if (![...info].some(([key, value]) => /^storagecontrollername\d+$/.test(key) && value === CONTROLLER)) {
    await vbox(
      'storagectl',
      uuid,
      '--name',
      CONTROLLER,
      '--add',
      'sata',
      '--portcount',
      '2',
      '--hostiocache',
      'on',
    );
  }
  for (const [port, medium] of [
    ['0', disk],
    ['1', config],
  ] as const) {
    await vbox(
      ...[
        ['storageattach', uuid, '--storagectl', CONTROLLER, '--port', port, '--device', '0'],
        ['--type', 'hdd', '--medium', medium],
      ].flat(),
    );
  }
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
