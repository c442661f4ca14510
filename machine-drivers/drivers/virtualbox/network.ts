/** NAT with forwarded ports, and, when it is asked for, an adapter that the host shares. */
import {sha256} from '../../../services/common/hash.ts';
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {choosePorts, forwardedPorts} from '../../forwarded-ports.ts';
import type {FirstBootFile} from '../../ports.ts';
import {freeAddress, parseCidr, sameNetwork} from './cidr.ts';
import type {Cidr} from './cidr.ts';
import {natRules, parseHostOnlyAdapters} from './machine-info.ts';
import type {HostOnlyAdapter, MachineInfo} from './machine-info.ts';
import type {VirtualboxSettings} from './settings.ts';
import {isMissing} from './vboxmanage.ts';
import type {VboxManage} from './vboxmanage.ts';

const APPEARS_TRIES = 40;
const APPEARS_PAUSE_MS = 250;
const guestPorts = {ssh: 22, docker: 2376} as const;

/** Ports of 127.0.0.1, and on a shared adapter an address and the adapter itself: one machine at a time. */
export function reserveNetwork(
  machine: DriverMachine,
  settings: VirtualboxSettings,
  vbox: VboxManage,
  host: DriverHost,
): Promise<Resources> {
  return host.reserve('network', async others => {
    const ports = await choosePorts(machine.uuid, settings.ports, others, 'virtualbox-ports');
    if (settings.hostonly === undefined) return {...ports};
    const cidr = parseCidr(settings.hostonly.cidr);
    const taken = new Set(others.map(other => String(other['hostonlyAddress'])));
    const start = Number.parseInt(sha256(`address ${machine.uuid}`).slice(0, 8), 16);
    const known = machine.resources['hostonlyAddress'];
    const address = typeof known === 'string' ? known : freeAddress(cidr, start, taken);
    if (address === undefined) {
      throw new MachineError('driver-failed', `${settings.hostonly.cidr} has no free address`, {
        remedy: 'give a wider network with --virtualbox-hostonly-cidr',
      });
    }
    return {...ports, hostonlyAddress: address, ...(await ensureAdapter(machine, cidr, vbox, host, others))};
  });
}

/** The adapter with this network; made when there is none. Throws when two have it: traffic would go to either. */
async function ensureAdapter(
  machine: DriverMachine,
  cidr: Cidr,
  vbox: VboxManage,
  host: DriverHost,
  others: readonly Resources[],
): Promise<Resources> {
  const list = async () => parseHostOnlyAdapters(await vbox('list', 'hostonlyifs'));
  const there = await list();
  const fitting = there.filter(adapter => sameNetwork(adapter, cidr));
  if (fitting.length > 1) {
    const names = fitting.map(({name}) => name).join(', ');
    throw new MachineError('driver-failed', `${names} have the same network ${cidr.address}/${cidr.prefix}`, {
      remedy: `remove all but one with VBoxManage hostonlyif remove NAME`,
    });
  }
  const [found] = fitting;
  const begun = begunAdapter(machine, there, others);
  if (found !== undefined) {
    const ours = begun === found.name || others.some(other => other['hostonlyMade'] === found.name);
    return {hostonlyAdapter: found.name, ...(ours ? {hostonlyMade: found.name} : {})};
  }
  const name = begun ?? (await createAdapter(there, vbox, host));
  // It may be listed only after a while; configured before that, it is lost.
  await until(host, `the adapter ${name} did not appear`, async () =>
    (await list()).some(one => one.name === name),
  );
  await vbox('hostonlyif', 'ipconfig', name, '--ip', cidr.address, '--netmask', cidr.netmask);
  await until(host, `the adapter ${name} did not take ${cidr.address}`, async () =>
    (await list()).some(
      one => one.name === name && one.address === cidr.address && one.netmask === cidr.netmask,
    ),
  );
  return {hostonlyAdapter: name, hostonlyMade: name};
}

/** VirtualBox chooses the name: those that were there before are written down first, so that the new one is known. */
async function createAdapter(
  before: readonly HostOnlyAdapter[],
  vbox: VboxManage,
  host: DriverHost,
): Promise<string> {
  await host.note('network', {hostonlyBefore: before.map(({name}) => name).join(',')});
  const said = await vbox('hostonlyif', 'create');
  const [, name] = /Interface '([^']+)' was successfully created/.exec(said) ?? [];
  if (name !== undefined) return name;
  throw new MachineError('driver-failed', `VBoxManage hostonlyif create answered: ${said.trim()}`);
}

/** The adapter that an earlier try made and did not get to write down. */
function begunAdapter(
  {resources}: DriverMachine,
  there: readonly HostOnlyAdapter[],
  others: readonly Resources[],
): string | undefined {
  const before = resources['hostonlyBefore'];
  if (typeof before !== 'string' || resources['hostonlyMade'] !== undefined) return undefined;
  const known = new Set([...before.split(','), ...others.map(other => String(other['hostonlyAdapter']))]);
  const unknown = there.filter(({name}) => !known.has(name));
  // Of several, somebody else made some: none is touched.
  return unknown.length === 1 ? unknown[0]?.name : undefined;
}

/** Removes the adapter that we made once no other machine of the store uses it. */
export async function releaseAdapter(
  machine: DriverMachine,
  vbox: VboxManage,
  host: DriverHost,
): Promise<void> {
  const {hostonlyMade, hostonlyBefore} = machine.resources;
  if (hostonlyMade === undefined && hostonlyBefore === undefined) return;
  await host.reserve('released', async others => {
    const there = parseHostOnlyAdapters(await vbox('list', 'hostonlyifs'));
    const made = hostonlyMade ?? begunAdapter(machine, there, others);
    if (made === undefined || others.some(other => other['hostonlyAdapter'] === made)) return {};
    try {
      await vbox('hostonlyif', 'remove', String(made));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    return {};
  });
}

/** The rules of a machine that is off. */
export async function setForwards(
  machine: DriverMachine,
  info: MachineInfo,
  vbox: VboxManage,
): Promise<void> {
  const ports = forwardedPorts(machine.resources);
  if (ports === undefined) throw new MachineError('driver-failed', 'the machine has no ports yet');
  const before = natRules(info);
  for (const [rule, port] of [
    ['ssh', ports.sshPort],
    ['docker', ports.dockerPort],
  ] as const) {
    if (before.includes(rule)) await vbox('modifyvm', machine.uuid, '--natpf1', 'delete', rule);
    await vbox('modifyvm', machine.uuid, '--natpf1', `${rule},tcp,127.0.0.1,${port},,${guestPorts[rule]}`);
  }
}

/** 08:00:27 is VirtualBox's own prefix. */
export function macAddress(uuid: string, card: 1 | 2): string {
  return `080027${sha256(`mac ${card} ${uuid}`).slice(0, 6).toUpperCase()}`;
}

/** The shared adapter's address is static: no DHCP server is made that nobody would remove. */
export function hostonlyFiles(machine: DriverMachine, settings: VirtualboxSettings): FirstBootFile[] {
  const address = machine.resources['hostonlyAddress'];
  if (settings.hostonly === undefined || typeof address !== 'string') return [];
  const mac = macAddress(machine.uuid, 2).match(/../g)?.join(':') ?? '';
  const contents = [
    '[Match]',
    `MACAddress=${mac}`,
    '',
    '[Link]',
    'RequiredForOnline=no',
    '',
    '[Network]',
    `Address=${address}/${parseCidr(settings.hostonly.cidr).prefix}`,
    'LinkLocalAddressing=no',
    'IPv6AcceptRA=no',
    '',
  ].join('\n');
  return [{path: '/etc/systemd/network/20-hawser-hostonly.network', mode: 0o644, contents}];
}

async function until(host: DriverHost, what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < APPEARS_TRIES; tries++) {
    if (await isSo()) return;
    await host.clock.sleep(APPEARS_PAUSE_MS, host.signal);
  }
  throw new MachineError('driver-failed', what, {remedy: 'see VBoxManage list hostonlyifs'});
}
