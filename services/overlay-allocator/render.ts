/** The tables of `hawser net`, and what `hawser net check` finds. Pure. */
import type {NetworkList} from '../common/contracts/overlay.ts';

type Listed = NetworkList['networks'][number];

/** A host that was not heard of for so long is reported; it announces itself every minute. */
const SILENT_SECONDS = 180;
/** Share of a network's addresses in use above which it is reported. */
const NEARLY_FULL = 0.8;

export function renderNetworks({networks}: NetworkList): string[] {
  const rows = networks.map(({network, held, usable, leases, endpoints}) => [
    network.name ?? '(no name yet)',
    network.subnet,
    String(network.vni),
    String(new Set(leases.filter(({released}) => released === undefined).map(({machine}) => machine)).size),
    String(endpoints.reduce((sum, each) => sum + each.endpoints.length, 0)),
    `${held}/${usable}`,
  ]);
  return table([['NETWORK', 'SUBNET', 'VNI', 'HOSTS', 'CONTAINERS', 'ADDRESSES'], ...rows]);
}

export function renderNetwork(
  {network, held, usable, leases, endpoints}: Listed,
  {hosts}: NetworkList,
): string[] {
  const nameOf = (machine: string) => hosts.find(({host}) => host.machine === machine)?.host.name ?? machine;
  const blocks = leases.map(({block, machine, since, released}) => [
    block,
    nameOf(machine),
    since,
    released === undefined ? 'held' : `given back ${released}`,
  ]);
  const containers = endpoints.flatMap(({machine, endpoints: list}) =>
    list.map(({address, names}) => [address, nameOf(machine), names.join(' ')]),
  );
  const reserved = network.reserved.length === 0 ? [] : [`reserved   ${network.reserved.join(' ')}`];
  return [
    `name       ${network.name ?? '(none yet)'}`,
    `subnet     ${network.subnet}`,
    `gateway    ${network.gateway}`,
    ...reserved,
    `vni        ${network.vni}`,
    `made       ${network.createdAt} by ${network.createdBy}`,
    `addresses  ${held} of ${usable} in blocks of hosts`,
    '',
    ...table([['BLOCK', 'HOST', 'SINCE', 'STANDING'], ...blocks]),
    '',
    ...table([['ADDRESS', 'HOST', 'NAMES'], ...containers]),
  ];
}

/** What is wrong, one sentence each, with what to do; empty when nothing is. */
export function findFaults({networks, hosts, unreadable, now}: NetworkList): string[] {
  const faults: string[] = [];
  const time = Date.parse(now);
  for (const {host, alive} of hosts) {
    const silent = alive === undefined ? Infinity : Math.round((time - Date.parse(alive.seen)) / 1000);
    if (silent > SILENT_SECONDS)
      faults.push(
        `${host.name} (${host.address}) was not heard of for ${silent === Infinity ? 'ever' : `${silent} s`}: see systemctl status hawser-overlay there, and whether it reaches the server`,
      );
    for (const fault of alive?.faults ?? []) faults.push(`${host.name}: ${fault}`);
  }
  const smallest = Math.min(...hosts.map(({host}) => host.mtu));
  const largest = Math.max(...hosts.map(({host}) => host.mtu));
  if (smallest < largest) {
    const low = hosts.filter(({host}) => host.mtu === smallest).map(({host}) => host.name);
    faults.push(
      `hosts differ in MTU (${smallest} to ${largest}): all networks use ${smallest - 50}, because of ${low.join(', ')}`,
    );
  }
  for (const {network, held, usable, leases} of networks) {
    const name = network.name ?? network.id;
    if (held > usable * NEARLY_FULL)
      faults.push(
        `network ${name} has ${held} of ${usable} addresses in blocks of hosts: make a larger one in time`,
      );
    for (const {block, machine, released} of leases)
      if (released === undefined && !hosts.some(({host}) => host.machine === machine))
        faults.push(`block ${block} of ${name} belongs to machine ${machine}, which never said where it is`);
  }
  for (const {key, why} of unreadable)
    faults.push(`etcd: ${key} cannot be read (${why}): look at it with etcdctl get; nothing else is touched`);
  return faults;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const [header = []] = rows;
  const widths = header.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
