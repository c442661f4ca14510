/**
 * The history of every address that is handed out, on hosts that know nothing but the answers that they got, by two servers
 * over one store, with servers away and blocks going back: no address is with two at a time.
 */
import test from 'ava';
import * as fc from 'fast-check';
import {createMemoryStore} from '../../services/overlay-allocator/adapters/memory-store.ts';
import {OverlayError} from '../../services/overlay-agent/errors.ts';
import {giveBack} from '../../services/overlay-agent/follow.ts';
import {createFaultBoard} from '../../services/overlay-agent/faults.ts';
import {manualClock, uuidOf} from '../update-server/support.ts';
import {allocatorBench} from '../overlay-allocator/support.ts';
import {agentBench, silent, type AgentBench} from './support/agent-bench.ts';

const HOSTS = 5;
const step = fc.oneof(
  {weight: 6, arbitrary: fc.record({kind: fc.constant('take' as const), host: fc.nat(HOSTS - 1)})},
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('take-this' as const),
      host: fc.nat(HOSTS - 1),
      last: fc.integer({min: 1, max: 30}),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({kind: fc.constant('free' as const), host: fc.nat(HOSTS - 1), which: fc.nat(20)}),
  },
  {weight: 1, arbitrary: fc.record({kind: fc.constant('away' as const), host: fc.nat(HOSTS - 1)})},
  {weight: 2, arbitrary: fc.record({kind: fc.constant('ten minutes' as const), host: fc.nat(HOSTS - 1)})},
);

test('no address is with two at a time', async t => {
  t.timeout(120_000);
  const given: string[] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(step, {minLength: 40, maxLength: 120}), async steps => {
      const store = createMemoryStore();
      const clock = manualClock();
      const servers = [await allocatorBench(t, store, clock), await allocatorBench(t, store, clock)];
      const hosts: AgentBench[] = [];
      for (let number = 1; number <= HOSTS; number++) {
        const server = servers[number % 2] ?? t.fail();
        const bench = await agentBench(t, server, number);
        await bench.agent.createNetwork({subnet: '10.99.0.0/27'});
        hosts.push(bench);
      }
      const network = '10.99.0.0-27';
      const idle = new Map<number, ReadonlyMap<string, number>>();
      for (const {kind, host, ...more} of steps) {
        const bench = hosts[host] ?? t.fail();
        const {agent, memory, server} = bench;
        try {
          if (kind === 'take') given.push((await agent.allocate(network, 'docker')).address);
          else if (kind === 'take-this' && 'last' in more)
            given.push((await agent.allocate(network, 'docker', `10.99.0.${more.last}`)).address);
          else if (kind === 'free' && 'which' in more) {
            const {allocations} = memory.record();
            const one = allocations[more.which % Math.max(1, allocations.length)];
            if (one !== undefined) await agent.release(network, one.address);
          } else if (kind === 'away') bench.away = !bench.away;
          else {
            clock.advance(601);
            const deps = {
              memory,
              server,
              clock,
              log: silent,
              self: () => ({machine: uuidOf(host + 1), address: '', mtu: 1500, port: 4789}),
              boot: '',
              random: () => 0,
              connected: () => undefined,
              faults: createFaultBoard(),
              refused: () => undefined,
            };
            idle.set(host, await giveBack(deps, idle.get(host) ?? new Map()));
          }
        } catch (error) {
          if (!(error instanceof OverlayError)) throw error;
        }
        const held = hosts.flatMap(each => each.memory.record().allocations.map(({address}) => address));
        if (new Set(held).size !== held.length) return false;
      }
      for (const each of hosts) await each.memory.flush();
      return true;
    }),
    {numRuns: 8},
  );
  t.log(`${given.length} addresses handed out, ${new Set(given).size} different ones`);
  t.true(given.length > 100);
});
