/** What goes wrong, at random, and how it is mended. */
import {setTimeout as delay} from 'node:timers/promises';
import type {Network} from './network.ts';
import type {NodeProcess} from './node-process.ts';
import {between, pick, type Random} from '../random.ts';

export interface Targets {
  readonly network: Network;
  readonly etcd: readonly NodeProcess[];
  readonly servers: readonly NodeProcess[];
  readonly machines: NodeProcess;
  readonly machineCount: number;
}

interface Fault {
  readonly what: string;
  begin(): Promise<void>;
  end(): Promise<void>;
}

export const faultKinds = ['kill', 'pause', 'cut', 'crash'] as const;
export type FaultCounts = Record<string, number>;

/** Lets faults come and go until `until`, never more than two at a time, and mends the last ones. */
export async function inflictFaults(
  targets: Targets,
  random: Random,
  until: number,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<FaultCounts> {
  const counts: FaultCounts = {};
  const one = async (lane: number) => {
    await delay(lane * 1500);
    while (Date.now() < until && !signal.aborted) {
      const fault = chooseFault(targets, random);
      const kind = fault.what.split(' ').slice(0, 2).join(' ');
      counts[kind] = (counts[kind] ?? 0) + 1;
      log(fault.what);
      await fault.begin();
      await delay(between(random, 300, 5000));
      await fault.end();
      await delay(between(random, 300, 3000));
    }
  };
  await Promise.all([one(0), one(1)]);
  return counts;
}

function chooseFault({network, etcd, servers, machines, machineCount}: Targets, random: Random): Fault {
  const kind = pick(random, faultKinds);
  if (kind === 'crash') {
    const machine = between(random, 0, machineCount - 1);
    return {
      what: `crash machine m${machine}`,
      begin: () => Promise.resolve(machines.tell(`crash ${machine}`)),
      end: () => Promise.resolve(),
    };
  }
  // Members of etcd more often than servers: they are more, and have more to lose.
  const [role, all] = random() < 0.65 ? (['etcd', etcd] as const) : (['server', servers] as const);
  const target = pick(random, all);
  const what = `${kind} ${role} ${target.name}`;
  switch (kind) {
    case 'kill':
      return {what, begin: () => target.kill(), end: () => Promise.resolve(target.start())};
    case 'pause':
      return {
        what,
        begin: () => Promise.resolve(target.pause()),
        end: () => Promise.resolve(target.resume()),
      };
    case 'cut':
    default:
      return {
        what,
        begin: () => network.setLink(target.name, false),
        end: () => network.setLink(target.name, true),
      };
  }
}

/** Everything runs and is connected. */
export async function mendAll({network, etcd, servers}: Targets): Promise<void> {
  for (const each of [...etcd, ...servers]) {
    await network.setLink(each.name, true);
    each.resume();
    each.start();
  }
}
