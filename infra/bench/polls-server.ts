/** The server of polls.ts: etcd with a fleet in it, the update server's routes over plain HTTP on loopback. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import fastify from 'fastify';
import {systemClock} from '../../services/common/clock.ts';
import {createEtcdClient, createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {keyOf} from '../../services/update-server/keys.ts';
import {updateServer} from '../../services/update-server/plugin.ts';
import {mergeReport} from '../../services/update-server/report.ts';
import {UpdateService} from '../../services/update-server/service.ts';
import {reportOf} from './polls-report.ts';

const machines = Number(process.argv[2] ?? 100_000);
const folder = await mkdtemp(join(tmpdir(), 'hawser-polls-'));
const [client, peer] = ['http://127.0.0.1:23790', 'http://127.0.0.1:23800'];
const etcd = spawn(
  'etcd',
  [
    ['--name', 'polls', '--data-dir', folder, '--log-level', 'error', '--unsafe-no-fsync'],
    ['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer],
    ['--initial-advertise-peer-urls', peer, '--initial-cluster', `polls=${peer}`],
  ].flat(),
  {stdio: 'ignore'},
);
for (let attempt = 0; attempt < 100; attempt += 1) {
  if ((await fetch(`${client}/health`).catch(() => undefined))?.ok === true) break;
  await systemClock.sleep(100);
}
const connection = createEtcdClient({hosts: [client]});
const store = createEtcdStore(connection);

const uuidOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const now = new Date().toISOString();
const put = (kind: 'channels' | 'groups' | 'releases', name: string, value: object) => ({
  key: keyOf(kind, name),
  value: JSON.stringify(value),
});
const release = (version: string) =>
  put('releases', version, {
    schema: 1,
    registeredAt: now,
    facts: {version, rootHash: 'ab'.repeat(32), created: now, barrier: false},
  });
const config = {channel: 'stable', selector: {}, waves: [{share: 10}, {share: 50}]};
await store.commit([
  put('channels', 'stable', {
    schema: 1,
    name: 'stable',
    changedAt: now,
    promotion: {id: 'p1', version: '2.0.0', at: now, by: 'bench'},
  }),
  put('groups', 'all', {schema: 1, name: 'all', config, changedAt: now, changedBy: 'bench'}),
  release('1.0.0'),
  release('2.0.0'),
]);
for (let from = 0; from < machines; from += 100) {
  await store.commit(
    Array.from({length: Math.min(100, machines - from)}, (_, index) => {
      const number = from + index;
      const uuid = uuidOf(number);
      const {record} = mergeReport(undefined, {uuid, name: `m${number}`}, reportOf(number), now);
      return {key: keyOf('machines', uuid), value: JSON.stringify(record)};
    }),
  );
}
const begun = performance.now();
const service = await UpdateService.open({store, clock: systemClock});
await service.conductor.settle();
const loaded = Math.round(performance.now() - begun);
const app = fastify({ajv: {customOptions: {coerceTypes: false, removeAdditional: false}}});
await app.register(updateServer, {
  service,
  // In the product the certificate says this, once a connection.
  callerOf: request => {
    const number = Number(request.headers['x-machine']);
    return {kind: 'machine', uuid: uuidOf(number), name: `m${number}`};
  },
});
await app.listen({host: '127.0.0.1', port: 0});
const address = app.server.address();
const resident = () => Math.round(process.memoryUsage().rss / 2 ** 20);
const cpu = process.cpuUsage();
process.send?.({port: typeof address === 'object' ? address?.port : 0, loaded, memory: resident()});
await once(process, 'message');
const {user, system} = process.cpuUsage(cpu);
process.send?.({cpu: (user + system) / 1e6, memory: resident()});
await app.close();
service.close();
connection.close();
etcd.kill('SIGTERM');
await once(etcd, 'exit');
await rm(folder, {recursive: true, force: true});
process.exit(0);
