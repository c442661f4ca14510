/**
 * `machines.ts COUNT SEED SERVER,SERVER`: simulated machines that run the real update agent (its state machine, record
 * and recovery) and want one release after another. Prints what they do; `crash N` on standard input cuts the power of
 * one of them at its next step, `stop` lets them finish what they began and end.
 */
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {systemClock} from '../../../services/common/clock.ts';
import type {ServerPort} from '../../../services/update-agent/ports.ts';
import {SimulatedMachine, type Behaviour} from '../../../test/support/simulated-machine.ts';
import {manifest, rootHashOf} from '../../../test/update-agent/support.ts';
import type {MachineRecord} from './history.ts';
import {lockClient} from './lock-client.ts';
import {between, createRandom, type Random} from '../random.ts';

class PowerCut extends Error {}

const RELEASES = 2000;
const behaviours = new Map<string, Behaviour>(
  Array.from({length: RELEASES}, (_, index) => [rootHashOf(`1.0.${index}`), behaviourOf(index)]),
);

const [count = '1', seed = '1', servers = ''] = process.argv.slice(2);
const random = createRandom(Number(seed));
const campaign = {stopping: false};
const cuts = new Set<string>();
createInterface({input: process.stdin}).on('line', line => {
  if (line === 'stop') campaign.stopping = true;
  else if (line.startsWith('crash ')) cuts.add(`m${line.slice('crash '.length)}`);
});
const names = Array.from({length: Number(count)}, (_, index) => `m${index}`);
await Promise.all(names.map(name => live(name)));
process.exit(0);

/** A release that is not good comes now and then: its machine falls back and gives the slot back as failed. */
function behaviourOf(index: number): Behaviour {
  if (index % 9 === 5) return 'unhealthy';
  return index % 13 === 7 ? 'dead' : 'good';
}

async function live(name: string): Promise<void> {
  const machine = createMachine(name);
  let version = machine.own.version;
  while (
    !campaign.stopping ||
    machine.record.phase !== 'idle' ||
    machine.record.lock !== undefined ||
    machine.rebooting
  ) {
    try {
      if (machine.rebooting) {
        await pause(300, 900);
        await machine.boot();
      }
      await machine.run();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      note(name, 'crashed');
      await pause(100, 500);
      machine.rebooting = true;
    }
    if (machine.own.version !== version) note(name, 'updated');
    version = machine.own.version;
    await pause(50, 400);
  }
}

function createMachine(name: string): SimulatedMachine {
  const locks = lockClient(name, servers.split(','), random, (kind, fence) => note(name, kind, fence));
  const server: ServerPort = {
    ...locks,
    check: request => {
      const eventsReceived = request.events.at(-1)?.sequence ?? 0;
      const tried = [request.version, ...request.failed.map(failed => failed.version)].map(patchOf);
      const next = `1.0.${Math.max(...tried) + 1}`;
      const event = campaign.stopping
        ? ({kind: 'answer-none', detail: 'the campaign ends'} as const)
        : ({kind: 'answer-apply', version: next, detail: 'next'} as const);
      return Promise.resolve({event, eventsReceived, pollSeconds: 5});
    },
  };
  return new SimulatedMachine({
    name,
    first: {manifest: manifest('1.0.0'), behaviour: 'good'},
    server,
    releases: {
      verify: version =>
        Promise.resolve({kind: 'metadata-verified', release: manifest(version), barriers: []}),
    },
    clock: systemClock,
    behaviours,
    ports: own => {
      const base = own.basePorts();
      return {
        record: cutting(name, base.record),
        slots: cutting(name, base.slots),
        boot: cutting(name, base.boot),
        health: cutting(name, base.health),
        server: cutting(name, base.server),
        drain: cutting(name, {
          ...base.drain,
          drain: async waiting => {
            note(name, 'away', own.record.lock?.fence);
            await pause(50, 200);
            return base.drain.drain(waiting);
          },
          undo: async waiting => {
            const result = await base.drain.undo(waiting);
            note(name, 'back');
            return result;
          },
        }),
      };
    },
  });
}

/** Before or after a call of a port is where the power goes. */
function cutting<Port extends object>(name: string, port: Port): Port {
  const trip = () => {
    if (cuts.has(name) && random() < 0.3) {
      cuts.delete(name);
      throw new PowerCut();
    }
  };
  return new Proxy(port, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        trip();
        const result: unknown = await Reflect.apply(value, target, args);
        trip();
        return result;
      };
    },
  });
}

function patchOf(version: string): number {
  return Number(version.split('.')[2]);
}

async function pause(from: number, to: number, by: Random = random): Promise<void> {
  await delay(between(by, from, to));
}

function note(machine: string, kind: MachineRecord['kind'], fence?: string): void {
  const record: MachineRecord = {at: Date.now(), machine, kind, ...(fence === undefined ? {} : {fence})};
  process.stdout.write(`${JSON.stringify(record)}\n`);
}
