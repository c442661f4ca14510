/**
 * From a host's wish for a block to the route in the kernel of the farthest host, by the number of hosts: the real allocator
 * over a real etcd; the farthest host is the real agent on a real kernel with a neighbour, a forwarding entry and a route
 * for each of the others, which are simulated and only read what they are told. Block by block, and then all hosts at once.
 * `node infra/labs/overlay/scale.ts [HOSTS...]`
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import fastify from 'fastify';
import {systemClock} from '../../../services/common/clock.ts';
import {OverlayLease} from '../../../services/common/contracts/overlay.ts';
import {parseValue} from '../../../services/common/parse.ts';
import {createEtcdStore} from '../../../services/overlay-allocator/adapters/etcd-store.ts';
import {overlayAllocator} from '../../../services/overlay-allocator/plugin.ts';
import {openEnrolment} from '../../../services/provisioner/enrolment/index.ts';
import {clientOptions} from '../../../services/update-server/adapters/etcd-credentials.ts';
import {startEmbeddedEtcd} from '../../../services/update-server/adapters/embedded-etcd.ts';
import {createEtcdClient} from '../../../services/update-server/adapters/etcd-store.ts';
import {uuidOf} from './uuid.ts';

const CLAIMS = 100;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [2, 10, 100, 1000];
const network = '10.0.0.0-12';

interface Said {
  readonly ready?: number;
  readonly block?: string;
  readonly route?: string;
  readonly at: number;
}

function listen(child: ChildProcess, hear: (said: Said) => void): void {
  if (child.stdout === null) throw new Error('no output');
  createInterface({input: child.stdout}).on('line', text => hear(JSON.parse(text) as Said));
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
  const children: ChildProcess[] = [];
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
    const socket = join(home, 'server.sock');
    await app.listen({path: socket});
    const ask = async (number: number, path: string, body: object): Promise<unknown> => {
      const headers = {'x-machine': String(number)};
      const answer = await app.inject({method: 'POST', url: `/v1/overlay/${path}`, headers, payload: body});
      if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.body}`);
      return answer.json();
    };
    const addressOf = (number: number) => `10.200.${number >> 8}.${number & 255}`;
    await ask(1, 'networks', {subnet: '10.0.0.0/12', name: 'scale'});
    const others = Array.from({length: hosts - 1}, (_, index) => index + 1);
    await Promise.all(
      others.map(number => ask(number, 'host', {address: addressOf(number), mtu: 1500, boot: 'b'})),
    );

    const arrived = new Map<string, number>();
    const routed = new Map<string, number>();
    const simulated = spawn(
      process.execPath,
      [join(import.meta.dirname, 'hosts.ts'), socket, String(others.length)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    children.push(simulated);
    const up = Promise.withResolvers<void>();
    listen(simulated, ({ready, block, at}) => {
      if (ready !== undefined) up.resolve();
      if (block !== undefined) arrived.set(block, at);
    });
    await up.promise;
    const real = spawn(
      'unshare',
      [
        '--mount',
        '--net',
        process.execPath,
        join(import.meta.dirname, 'real-host.ts'),
        socket,
        String(hosts),
        addressOf(hosts),
      ],
      {stdio: ['pipe', 'pipe', 'inherit']},
    );
    children.push(real);
    listen(real, ({route, at}) => void (route !== undefined && routed.set(route, at)));

    // Each of the others gets its first block, all at once.
    const begun = performance.timeOrigin + performance.now();
    const first = await Promise.all(others.map(number => ask(number, 'leases/claim', {network})));
    const granted = performance.timeOrigin + performance.now() - begun;
    for (const answer of first) {
      const {block} = parseValue(OverlayLease, answer, 'the lease');
      while (!routed.has(block)) await delay(5);
    }
    const storm = Math.max(...routed.values()) - begun;
    await delay(1000);

    const [known, times]: [number[], number[]] = [[], []];
    for (let claim = 0; claim < CLAIMS; claim++) {
      const asked = performance.timeOrigin + performance.now();
      const answer = await ask((claim % others.length) + 1, 'leases/claim', {network});
      const {block} = parseValue(OverlayLease, answer, 'the lease');
      const key = `${network}/${block.replace('/', '-')}`;
      while (!routed.has(block) || !arrived.has(key)) await delay(1);
      known.push((arrived.get(key) ?? 0) - asked);
      times.push(Math.max(routed.get(block) ?? 0, arrived.get(key) ?? 0) - asked);
    }
    const at = (values: readonly number[], share: number) =>
      (values.toSorted((one, other) => one - other)[Math.ceil(values.length * share) - 1] ?? 0).toFixed(0);
    console.log(
      `${hosts} hosts: told to all of them p50 ${at(known, 0.5)} ms, p99 ${at(known, 0.99)} ms; in the kernel of the farthest p50 ${at(times, 0.5)} ms, p99 ${at(times, 0.99)} ms; all at once: granted in ${granted.toFixed(0)} ms, all in its kernel after ${storm.toFixed(0)} ms`,
    );
  } finally {
    for (const child of children) {
      child.stdin?.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await app.close();
    client.close();
    await etcd.stop();
    await rm(home, {recursive: true, force: true});
  }
}

for (const hosts of sizes) await measure(hosts);
