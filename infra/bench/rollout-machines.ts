/**
 * The machines of rollout.ts: each runs the product's update agent (state machine, record, recovery, its client of the
 * server) on a simulated disk and boot loader, at the times at which a machine would. `rollout-machines.ts PLAN ORIGIN
 * FACTOR PORT`.
 */
import {once} from 'node:events';
import {Agent, request} from 'node:http';
import {readBody, type MachineHttp} from '../../services/common/machine-http.ts';
import {httpServer} from '../../services/update-agent/adapters/server.ts';
import {nextWakeSeconds} from '../../services/update-agent/pace.ts';
import {SimulatedMachine} from '../../test/support/simulated-machine.ts';
import {manifest, testReleases} from '../../test/update-agent/support.ts';
import {rootHashOf, versions} from './rollout-fleet.ts';
import {scaledClock} from './rollout-clock.ts';
import {steps, type RolloutPlan} from './rollout-plan.ts';

/** What they tell at the end. */
export interface MachineFigures {
  readonly updated: number;
  /** Most that were out of service at one time. */
  readonly mostAway: number;
  /** How late their timers were, seconds of their own time: 99 of 100 were not later. */
  readonly lateSeconds: number;
  readonly cpuSeconds: number;
  readonly unreachable: number;
}

/** Polls of the first round, which only makes the machines known, at a time. */
const REGISTERING = 64;
const MAX_ANSWER = 1024 * 1024;

const [planText = '{}', origin = '0', factor = '1', port = '0'] = process.argv.slice(2);
const plan = JSON.parse(planText) as RolloutPlan;
const clock = scaledClock(Number(origin), Number(factor));
const agent = new Agent({keepAlive: true, maxSockets: 128});
const [first, second] = versions;
const late: number[] = [];
const counts = {updated: 0, away: 0, mostAway: 0, unreachable: 0};
const bench = {stopping: false};

async function pass(seconds: number): Promise<void> {
  const due = clock.now().getTime() + seconds * 1000;
  await clock.sleep(seconds * 1000);
  late.push((clock.now().getTime() - due) / 1000);
}

function httpOf(number: number): MachineHttp {
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        const text = JSON.stringify(body);
        const headers = {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          'x-machine': String(number),
        };
        const asked = request(url, {method: 'POST', agent, headers}, answer => {
          void readBody(answer, MAX_ANSWER).then(
            read => resolve({status: answer.statusCode ?? 0, body: read}),
            reject,
          );
        });
        asked.on('error', error => {
          counts.unreachable++;
          reject(error);
        });
        asked.end(text);
      }),
    open: () => Promise.reject(new Error('no repository here')),
    close: () => undefined,
  };
}

const releases = testReleases(new Map(versions.map(version => [version, manifest(version)])));
const machines = Array.from({length: plan.machines}, (_, index) => {
  const number = index + 1;
  return new SimulatedMachine({
    name: `m${number}`,
    first: {manifest: manifest(first), behaviour: 'good'},
    server: httpServer(`http://127.0.0.1:${port}/`, httpOf(number)),
    releases,
    clock,
    behaviours: new Map([[rootHashOf(second), 'good']]),
    settings: {pollSeconds: plan.pollSeconds},
    ports: machine => {
      const {slots, drain, health} = machine.basePorts();
      return {
        slots: {
          ...slots,
          stage: async (...wish) => {
            await pass(steps.stage);
            return slots.stage(...wish);
          },
        },
        health: {
          ...health,
          prove: async () => {
            await pass(steps.prove);
            return health.prove();
          },
        },
        drain: {
          ...drain,
          drain: async waiting => {
            counts.away++;
            counts.mostAway = Math.max(counts.mostAway, counts.away);
            await pass(steps.drain);
            return drain.drain(waiting);
          },
          undo: async waiting => {
            if (!machine.drained) return drain.undo(waiting);
            await pass(steps.return);
            counts.away--;
            return drain.undo(waiting);
          },
        },
      };
    },
  });
});

/** A machine's life: the agent runs, and says when it wants to run again. */
async function live(machine: SimulatedMachine): Promise<void> {
  // A fleet that has been up for long polls at any time.
  await pass(Math.random() * plan.pollSeconds);
  let counted = false;
  while (!bench.stopping) {
    const {wake, record} = await machine.run();
    if (machine.rebooting) {
      await pass(steps.reboot);
      await machine.boot();
      continue;
    }
    if (!counted && machine.own.version === second && record.phase === 'idle') {
      counted = true;
      counts.updated++;
      if (counts.updated === plan.machines) process.send?.('all');
    }
    const pace = {wake, pollSeconds: record.pollSeconds ?? plan.pollSeconds, putOffs: record.putOffs};
    await pass(nextWakeSeconds({...pace, random: Math.random()}) ?? 0);
  }
}

const queue = [...machines];
await Promise.all(
  Array.from({length: REGISTERING}, async () => {
    for (let machine = queue.pop(); machine !== undefined; machine = queue.pop()) await machine.run();
  }),
);
process.send?.('registered');
await once(process, 'message');
const cpu = process.cpuUsage();
for (const machine of machines)
  void live(machine).catch((error: unknown) => {
    if (!bench.stopping) process.stderr.write(`${machine.options.name}: ${String(error)}\n`);
  });
await once(process, 'message');
bench.stopping = true;
const {user, system} = process.cpuUsage(cpu);
late.sort((a, b) => a - b);
const figures: MachineFigures = {
  updated: counts.updated,
  mostAway: counts.mostAway,
  lateSeconds: late[Math.floor(late.length * 0.99)] ?? 0,
  cpuSeconds: (user + system) / 1e6,
  unreachable: counts.unreachable,
};
process.send?.(figures, () => process.exit(0));
