/** The server of polls-hawser.ts: etcd with a fleet in it, the update server's routes over plain HTTP on loopback. */
import {once} from 'node:events';
import fastify from 'fastify';
import {systemClock} from '../../services/common/clock.ts';
import {createEtcdStore} from '../../services/update-server/adapters/etcd-store.ts';
import {keyOf} from '../../services/update-server/keys.ts';
import {updateServer} from '../../services/update-server/plugin.ts';
import {mergeReport} from '../../services/update-server/report.ts';
import {UpdateService} from '../../services/update-server/service.ts';
import {startEtcd} from '../../test/support/etcd.ts';
import {reportOf} from './polls-report.ts';
import {silentSeconds} from './polls-server-kind.ts';

/** Values in one transaction: etcd takes 128 by itself. */
const BATCH = 100;

// ^C is the parent's to hear: it ends this process, which ends its etcd.
process.on('SIGINT', () => undefined);
const machines = Number(process.argv[2] ?? 100_000);
await using etcd = await startEtcd();
const store = createEtcdStore(etcd.client);
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
const earlier = new Date(Date.now() - silentSeconds * 1000).toISOString();
for (let from = 0; from < machines; from += BATCH) {
  await store.commit(
    Array.from({length: Math.min(BATCH, machines - from)}, (_, index) => {
      const number = from + index;
      const uuid = uuidOf(number);
      const heard = number < machines / 2 ? now : earlier;
      const {record} = mergeReport(undefined, {uuid, name: `m${number}`}, reportOf(number), heard);
      return {key: keyOf('machines', uuid), value: JSON.stringify(record)};
    }),
  );
}
const service = await UpdateService.open({store, clock: systemClock});
await service.conductor.settle();
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
const tick = setInterval(() => service.conductor.tick(), 1000);
const address = app.server.address();
process.send?.({port: typeof address === 'object' ? address?.port : 0});
await once(process, 'message');
clearInterval(tick);
await app.close();
service.close();
process.disconnect();
