/**
 * How long until the farthest host knows of a block that one host claims, by the number of hosts: the real allocator over
 * a real etcd, simulated hosts over plain HTTP. `node infra/labs/overlay/scale.ts [HOSTS...]`
 */
import {spawn} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import fastify from 'fastify';
import {systemClock} from '../../../services/common/clock.ts';
import {OverlayLease} from '../../../services/common/contracts/overlay.ts';
import {parseValue} from '../../../services/common/parse.ts';
import {desiredNetworks} from '../../../services/overlay-agent/desired.ts';
import {plan} from '../../../services/overlay-agent/plan.ts';
import {emptyRecord} from '../../../services/overlay-agent/record.ts';
import {FollowedState} from '../../../services/overlay-agent/state.ts';
import {createEtcdStore} from '../../../services/overlay-allocator/adapters/etcd-store.ts';
import {overlayAllocator} from '../../../services/overlay-allocator/plugin.ts';
import {list} from '../../../services/overlay-allocator/queue.ts';
import {openEnrolment} from '../../../services/provisioner/enrolment/index.ts';
import {clientOptions} from '../../../services/update-server/adapters/etcd-credentials.ts';
import {startEmbeddedEtcd} from '../../../services/update-server/adapters/embedded-etcd.ts';
import {createEtcdClient} from '../../../services/update-server/adapters/etcd-store.ts';

const CLAIMS = 100;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [2, 10, 100, 1000];

function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

async function measure(hosts: number): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-scale-'));
  const stop = new AbortController();
  const env = {PATH: process.env['PATH'] ?? ''};
  const enrolment = await openEnrolment({home, clock: systemClock});
  const issue = () => enrolment.storeCertificate();
  const etcd = await startEmbeddedEtcd({home, clock: systemClock, signal: stop.signal, env, issue});
  const client = createEtcdClient(clientOptions(etcd.url, etcd.credentials));
  const app = fastify();
  try {
    await app.register(overlayAllocator, {
      store: createEtcdStore(client),
      clock: systemClock,
      random: Math.random,
      callerOf: ({headers}) => {
        const number = Number(headers['x-machine']);
        return {kind: 'machine', uuid: uuidOf(number), name: `m${number}`};
      },
    });
    const url = await app.listen({host: '127.0.0.1', port: 0});
    const ask = async (number: number, path: string, body: object): Promise<unknown> => {
      const headers = {'x-machine': String(number)};
      const answer = await app.inject({method: 'POST', url: `/v1/overlay/${path}`, headers, payload: body});
      if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.body}`);
      return answer.json();
    };
    await ask(1, 'networks', {subnet: '10.0.0.0/12', name: 'scale'});
    const numbers = Array.from({length: hosts}, (_, index) => index + 1);
    await Promise.all(
      numbers.map(number =>
        ask(number, 'host', {address: `10.200.${number >> 8}.${number & 255}`, mtu: 1500, boot: 'b'}),
      ),
    );
    const begun = performance.now();
    await Promise.all(numbers.map(number => ask(number, 'leases/claim', {network: '10.0.0.0-12'})));
    const storm = performance.now() - begun;

    const arrived = new Map<string, number>();
    const child = spawn(process.execPath, [join(import.meta.dirname, 'hosts.ts'), url, String(hosts)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const gone = new Promise(resolve => child.once('exit', resolve));
    const up = Promise.withResolvers<void>();
    createInterface({input: child.stdout}).on('line', text => {
      const said = JSON.parse(text) as {ready?: number; block?: string; at: number};
      if (said.ready !== undefined) up.resolve();
      if (said.block !== undefined) arrived.set(said.block, said.at);
    });
    await up.promise;
    const times: number[] = [];
    for (let claim = 0; claim < CLAIMS; claim++) {
      const asked = performance.timeOrigin + performance.now();
      const answer = await ask((claim % hosts) + 1, 'leases/claim', {network: '10.0.0.0-12'});
      const {network, block} = parseValue(OverlayLease, answer, 'the lease');
      const key = `${network}/${block.replace('/', '-')}`;
      while (!arrived.has(key)) await delay(1);
      times.push((arrived.get(key) ?? 0) - asked);
    }
    child.stdin.end();
    await gone;
    times.sort((one, other) => one - other);
    const at = (share: number) => (times[Math.ceil(times.length * share) - 1] ?? 0).toFixed(1);

    // What each host then does, with all of this before it.
    const view = await list(createEtcdStore(client));
    const state = FollowedState.from({kind: 'all', epoch: view.epoch, revision: '1', items: view.items()});
    const self = {machine: uuidOf(1), address: '10.200.0.1', mtu: 1500, port: 4789};
    const planned = performance.now();
    plan(desiredNetworks(state, emptyRecord, self), {namespaces: new Map(), strays: []});
    const planning = performance.now() - planned;
    console.log(
      `${hosts} hosts: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; all claim at once: ${storm.toFixed(0)} ms; plan of everything: ${planning.toFixed(1)} ms`,
    );
  } finally {
    await app.close();
    client.close();
    await etcd.stop();
    await rm(home, {recursive: true, force: true});
  }
}

for (const hosts of sizes) await measure(hosts);
