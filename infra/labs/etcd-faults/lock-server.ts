/**
 * `lock-server.ts ADDRESS ETCD,ETCD,ETCD SLOTS MACHINES [--break-compare]`: the product's plugin and store on a real
 * etcd. Callers are believed, as no certificate is looked at here. `--break-compare` takes the comparison out of every
 * write, so that the checker has something to find.
 */
import {parseArgs} from 'node:util';
import {Etcd3} from 'etcd3';
import fastify from 'fastify';
import {systemClock} from '../../../services/common/clock.ts';
import {createEtcdStore, type EtcdKv} from '../../../services/reboot-lock/adapters/etcd-store.ts';
import {rebootLock} from '../../../services/reboot-lock/plugin.ts';
import {group} from './group.ts';

const {positionals, values} = parseArgs({
  allowPositionals: true,
  options: {'break-compare': {type: 'boolean', default: false}},
});
const [host = '127.0.0.1', etcd = '', slots = '1', machines = '1'] = positionals;
const client = new Etcd3({hosts: etcd.split(','), dialTimeout: 1000});
const policy = {group, slots: Number(slots), machines: Number(machines), allowQuorumLoss: false};
const app = fastify();
await app.register(rebootLock, {
  store: createEtcdStore(values['break-compare'] ? withoutCompare(client) : client),
  policies: {
    ofMachine: () => Promise.resolve(policy),
    ofGroup: name => Promise.resolve(name === group ? policy : undefined),
  },
  events: {updateFailed: () => Promise.resolve()},
  clock: systemClock,
  random: Math.random,
  callerOf: request => {
    const uuid = String(request.headers['x-machine']);
    return {kind: 'machine', uuid, name: uuid};
  },
});
await app.listen({host, port: 8080});

function withoutCompare({kv}: Etcd3): EtcdKv {
  return {
    kv: {
      range: (request, options) => kv.range(request, options),
      txn: (request, options) => kv.txn({...request, compare: []}, options),
    },
  };
}
