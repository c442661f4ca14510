/** Which files, ports and addresses a machine has. */
import {dirname, join} from 'node:path';
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {choosePorts} from '../../forwarded-ports.ts';
import type {FirstBootFile} from '../../ports.ts';
import {macAddress, wireAddress, wirePrefix} from './identity.ts';
import {readSettings} from './settings.ts';

export interface QemuFiles {
  readonly folder: string;
  readonly disk: string;
  readonly vars: string;
  readonly console: string;
  readonly pidFile: string;
  /** Outside the machine's folder: the path of a socket has room for 107 bytes only, and names are long. */
  readonly monitor: string;
}

export function filesOf(machine: Pick<DriverMachine, 'folder' | 'uuid'>): QemuFiles {
  const folder = join(machine.folder, 'qemu');
  return {
    folder,
    disk: join(folder, 'disk.qcow2'),
    vars: join(folder, 'vars.fd'),
    console: join(folder, 'console.log'),
    pidFile: join(folder, pidFileName),
    monitor: join(dirname(machine.folder), '.run', `${machine.uuid}.qmp`),
  };
}

export const pidFileName = 'qemu.pid';

export interface Reservation {
  readonly sshPort: number;
  readonly dockerPort: number;
  readonly wireAddress: string;
}

export function reservationOf(machine: Pick<DriverMachine, 'resources'>): Reservation | undefined {
  const {sshPort, dockerPort, wireAddress} = machine.resources;
  if (typeof sshPort !== 'number' || typeof dockerPort !== 'number' || typeof wireAddress !== 'string')
    return undefined;
  return {sshPort, dockerPort, wireAddress};
}

/**
 * Ports and an address that no other machine of the store holds. Ports must also be free right now; one that is
 * taken before the emulator binds it leads to another round (see boot.ts). An address once given is kept.
 */
export function reserveAddresses(machine: DriverMachine, host: DriverHost): Promise<Resources> {
  return host.reserve('addresses', async others => {
    const settings = readSettings(machine.settings);
    const range = {first: settings.firstPort, last: settings.lastPort};
    const {sshPort, dockerPort} = await choosePorts(machine.uuid, range, others, 'qemu-ports');
    const takenAddresses = new Set(others.map(other => String(other['wireAddress'])));
    const address = reservationOf(machine)?.wireAddress ?? wireAddress(machine.uuid, takenAddresses);
    if (address === undefined)
      throw new MachineError('driver-failed', 'the private network has no free address');
    return {sshPort, dockerPort, wireAddress: address};
  });
}

/** The wire's address is static: nothing on the wire hands addresses out. */
export function wireFiles(machine: DriverMachine): FirstBootFile[] {
  const address = reservationOf(machine)?.wireAddress;
  if (address === undefined) throw new MachineError('driver-failed', 'the machine has no address yet');
  const contents = [
    '[Match]',
    `MACAddress=${macAddress(machine.uuid, 1)}`,
    '',
    '[Link]',
    'RequiredForOnline=no',
    '',
    '[Network]',
    `Address=${address}/${wirePrefix}`,
    'LinkLocalAddressing=no',
    'IPv6AcceptRA=no',
    '',
  ].join('\n');
  return [{path: '/etc/systemd/network/20-hawser-wire.network', mode: 0o644, contents}];
}
