/**
 * The server of rollout.ts: update server and reboot lock as `hawser server` composes them, over a real etcd, on plain
 * HTTP and a scaled clock. `rollout-server.ts PLAN ORIGIN FACTOR`.
 */
import {once} from 'node:events';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import fastify, {type FastifyRequest} from 'fastify';
import {holdersOf, lockPolicies} from '../../services/cli/server/lock-policies.ts';
import type {Caller} from '../../services/common/contracts/caller.ts';
import type {Rollout} from '../../services/common/contracts/policy.ts';
import {createEtcdStore as createLockStore} from '../../services/reboot-lock/adapters/etcd-store.ts';
import {listLocks} from '../../services/reboot-lock/listing.ts';
import {rebootLock} from '../../services/reboot-lock/plugin.ts';
import {createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {updateServer} from '../../services/update-server/plugin.ts';
import {UpdateService} from '../../services/update-server/service.ts';
import {startEtcd} from '../../test/support/etcd.ts';
import {treeCpuSeconds} from './process-cpu.ts';
import {machineUuid, rootHashOf, versions} from './rollout-fleet.ts';
import {scaledClock} from './rollout-clock.ts';
import {groupConfig, type RolloutPlan} from './rollout-plan.ts';

/** What it tells of itself when it is asked. */
export interface ServerFigures {
  readonly rollout: Rollout | undefined;
  readonly requests: Readonly<Record<string, number>>;
  readonly answers: Readonly<Record<string, number>>;
  readonly cpuSeconds: number;
  readonly etcdCpuSeconds: number;
  readonly residentMiB: number;
  /** The event loop's: how long a request may have lain before it was looked at, ms. */
  readonly stall: {readonly p99: number; readonly max: number};
  readonly storeMiB: number;
}

// ^C is the parent's to hear: it ends this process, which ends its etcd.
process.on('SIGINT', () => undefined);
const [planText = '{}', origin = '0', factor = '1'] = process.argv.slice(2);
const plan = JSON.parse(planText) as RolloutPlan;
const clock = scaledClock(Number(origin), Number(factor));
await using etcd = await startEtcd();
const by = {kind: 'operator', name: 'bench', role: 'operator'} as const;
const locks = createLockStore(etcd.client);
const service: UpdateService = await UpdateService.open({
  store: createEtcdStore(etcd.client),
  clock,
  locks: async () =>
    holdersOf((await listLocks({store: locks, policies: lockPolicies(service), clock})).groups),
  failed: error => process.stderr.write(`${String(error)}\n`),
});
const {operations} = service;
await operations.setChannel('stable', undefined, by);
const created = clock.now().toISOString();
for (const version of versions)
  await operations.registerRelease({version, rootHash: rootHashOf(version), created, barrier: false}, by);
await operations.setGroup('all', groupConfig(plan), by);

// In the product the certificate says this, once a connection.
const callerOf = (request: FastifyRequest): Caller => {
  const number = Number(request.headers['x-machine']);
  return {kind: 'machine', uuid: machineUuid(number), name: `m${number}`};
};
const app = fastify({ajv: {customOptions: {coerceTypes: false, removeAdditional: false}}});
const requests = new Map<string, number>();
const answers = new Map<string, number>();
const count = (counts: Map<string, number>, what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
app.addHook('onResponse', (request, reply, done) => {
  count(requests, request.routeOptions.url ?? 'unknown');
  count(answers, String(reply.statusCode));
  done();
});
await app.register(updateServer, {service, callerOf});
await app.register(rebootLock, {
  store: locks,
  policies: lockPolicies(service),
  events: {
    updateFailed: failure =>
      service.recordFailure(failure.machine, {version: failure.to, reason: failure.runs}),
  },
  clock,
  random: Math.random,
  callerOf,
});
await app.listen({host: '127.0.0.1', port: 0, backlog: 4096});
const tick = setInterval(() => service.conductor.tick(), 1000 / Number(factor));
const loop = monitorEventLoopDelay({resolution: 10});
const cpu = process.cpuUsage();
const etcdCpu = treeCpuSeconds(etcd.pid);

const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  promote: async () => {
    loop.enable();
    await operations.promote('stable', versions[1], by);
    await service.conductor.settle();
    return true;
  },
  figures: async () => {
    const {user, system} = process.cpuUsage(cpu);
    const status = await etcd.client.maintenance.status();
    return {
      rollout: service.fleet.rollouts.get('all'),
      requests: Object.fromEntries(requests),
      answers: Object.fromEntries(answers),
      cpuSeconds: (user + system) / 1e6,
      etcdCpuSeconds: treeCpuSeconds(etcd.pid) - etcdCpu,
      residentMiB: process.resourceUsage().maxRSS / 1024,
      stall: {p99: loop.percentile(99) / 1e6, max: loop.max / 1e6},
      storeMiB: Number(status.dbSize) / 2 ** 20,
    } satisfies ServerFigures;
  },
};
const address = app.server.address();
process.send?.({port: typeof address === 'object' ? address?.port : 0});
for (;;) {
  const [verb] = (await once(process, 'message')) as [string];
  const run = verbs[verb];
  if (run === undefined) break;
  process.send?.(await run());
}
clearInterval(tick);
await app.close();
service.close();
process.disconnect();
