/** A real HAProxy before servers that leave and come back. */
import {once} from 'node:events';
import {mkdtemp, readFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {parseServersState, renderBalancerConfig} from '../../../infra/quickstart/balancer-config.ts';
import {startBalancer, stopBalancer} from '../../../infra/quickstart/balancer.ts';
import {startLoad} from '../../../infra/quickstart/load.ts';
import {answererOf} from '../../../infra/quickstart/web-image.ts';
import {exec} from '../../../services/common/exec.ts';
import {freePort} from '../../support/ports.ts';

const there = await exec(['haproxy', '-v'], {timeoutMs: 10_000}).then(
  () => true,
  () => false,
);
const run = there ? test : test.skip;

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

run(
  'a machine that says it is not ready loses no request, the slow ones included; the process is found and ended',
  async t => {
    t.timeout(120_000);
    const folder = await mkdtemp(join(tmpdir(), 'hawser-balancer-'));
    t.teardown(() => stopBalancer(folder));
    const machines = await Promise.all(
      ['m1', 'm2', 'm3'].map(async name => {
        const machine = {name, ready: true, open: 0, late: 0, left: false};
        const service = createServer((request, response) => {
          if (request.headers.host === 'service') {
            response.end('ok');
            return;
          }
          if (machine.left) machine.late++;
          machine.open++;
          response.on('close', () => machine.open--);
          const text = `hawser web 1 on ${name}\n`;
          if (request.url === '/slow') setTimeout(() => response.end(`done ${text}`), 3000);
          else response.end(text);
        });
        const readiness = createServer((_, response) => response.writeHead(machine.ready ? 200 : 503).end());
        const servicePort = await listen(service);
        const readyPort = await listen(readiness);
        t.teardown(() => {
          service.close();
          readiness.close();
        });
        return {machine, server: {name, host: '127.0.0.1', servicePort, readyPort}};
      }),
    );
    const plan = {
      listen: {host: '127.0.0.1', port: await freePort()},
      servers: machines.map(({server}) => server),
      folder,
      servicePath: '/',
    };
    const balancer = await startBalancer(plan);
    await balancer.untilUp(3, 60, new AbortController().signal);
    const load = startLoad({
      url: balancer.url,
      perSecond: 40,
      fastPath: '/',
      slowPath: '/slow',
      slowAtOnce: 2,
      fastLimitMs: 20_000,
      slowLimitMs: 30_000,
      lanes: 3,
      answerer: answererOf,
    });
    const until = async (what: string, condition: () => Promise<boolean> | boolean) => {
      for (let left = 600; left > 0; left--) {
        if (await condition()) return;
        await new Promise(resolve => setTimeout(resolve, 50));
      }
      throw new Error(`${what} does not come`);
    };
    for (const {machine} of machines) {
      machine.ready = false;
      await until('leaving', async () =>
        (await balancer.servers()).some(({name, up}) => name === machine.name && !up),
      );
      await until('the end of its requests', () => machine.open === 0);
      machine.left = true;
      await new Promise(resolve => setTimeout(resolve, 500));
      machine.left = false;
      machine.ready = true;
      // A new process takes over in the middle, with what the old one knew.
      await startBalancer(plan);
      await balancer.untilUp(3, 60, new AbortController().signal);
    }
    const report = await load.stop();
    t.is(report.failed, 0, JSON.stringify(report.failures));
    t.true(report.slowSucceeded > 0);
    t.deepEqual(Object.keys(report.answeredBy), ['1 on m1', '1 on m2', '1 on m3']);
    t.deepEqual(
      machines.map(({machine}) => machine.late),
      [0, 0, 0],
    );
    const pid = Number(await readFile(join(folder, 'haproxy.pid'), 'utf8'));
    await stopBalancer(folder);
    // Gone, or a zombie that nobody has collected yet: neither has a command line.
    t.is(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''), '');
    await stopBalancer(folder);
  },
);

test('retries are for connections that were never made', t => {
  const text = renderBalancerConfig({
    listen: {host: '127.0.0.1', port: 1},
    servers: [],
    folder: '/f',
    servicePath: '/',
  });
  t.regex(text, /retry-on conn-failure\n/);
});

test("HAProxy's state of servers: up before the first check has ended is not proven", t => {
  t.deepEqual(
    parseServersState(
      '1\n# be_id be_name\n' +
        '3 m 1 a 127.0.0.1 2 0 1 1 3 15 3 2 6 0 0 1 - 29081 - 0 0 - - 0\n' +
        '3 m 2 b 127.0.0.1 0 0 1 1 2 8 2 0 6 0 0 1 - 29082 - 0 0 - - 0\n' +
        '3 m 3 c 127.0.0.1 2 0 1 1 2 1 0 1 6 0 0 1 - 29083 - 0 0 - - 0\n\n',
    ),
    [
      {name: 'a', up: true, passed: true},
      {name: 'b', up: false, passed: false},
      {name: 'c', up: true, passed: false},
    ],
  );
});
