/** The demonstration without virtual machines: a real Swarm of three behind a real HAProxy; each node is drained in turn. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {startBalancer, stopBalancer} from '../../infra/quickstart/balancer.ts';
import type {LoadReport} from '../../infra/quickstart/load-count.ts';
import {webPort, webRootArchive} from '../../infra/quickstart/web-image.ts';
import {serviceRequest} from '../../infra/quickstart/web-service.ts';
import {systemClock} from '../../services/common/clock.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {createClusterStore} from '../../services/provisioner/cluster/adapters/file-store.ts';
import {openMemberAuthority} from '../../services/provisioner/cluster/adapters/member-authority.ts';
import {foundCluster} from '../../services/provisioner/cluster/record.ts';
import {reconcile} from '../../services/provisioner/cluster/reconcile.ts';
import {labProblem, startLab, type LabMachine} from './support/lab.ts';

const SLOW_SECONDS = 12;
const problem = await labProblem();
const run = problem === undefined ? test.serial : test.serial.skip;
if (problem !== undefined) test.serial(`the lab: ${problem}`, t => t.log('SKIPPED', problem));

run(
  'three nodes are drained one after the other under load, a slow answer always in flight: no request fails',
  async t => {
    t.timeout(600_000);
    const home = await mkdtemp(join(tmpdir(), 'hawser-drain-'));
    const lab = await startLab(['n1', 'n2', 'n3']);
    const folder = join(home, 'balancer');
    t.teardown(async () => {
      await stopBalancer(folder);
      await lab.close();
      await rm(home, {recursive: true, force: true});
    });
    const {machines} = lab;
    const [first] = machines;
    if (first === undefined) throw new Error('no machine');
    const store = createClusterStore(home);
    const record = foundCluster('demo', '0'.repeat(32), machines);
    await store.create(record);
    await reconcile(record, {
      runtime: {
        clock: systemClock,
        store,
        newToken: () => '',
        authority: cluster => openMemberAuthority(home, cluster, systemClock),
        machine: name =>
          Promise.resolve(machines.find(machine => machine.name === name) ?? Promise.reject(new Error(name))),
      },
      progress: silentProgress,
      signal: new AbortController().signal,
      timeoutSeconds: 120,
    });

    const archive = await webRootArchive(SLOW_SECONDS);
    for (const [index, machine] of machines.entries()) {
      await machine.importImage('hawser-web', archive);
      // Stands for the machine's readiness unit: the page is there, or it is not.
      await machine.run(
        `mkdir -p /run/ready; echo ok > /run/ready/index.html
setsid busybox httpd -f -p ${7071 + index} -h /run/ready > /dev/null 2>&1 < /dev/null &\n`,
        {timeoutMs: 10_000},
      );
    }
    const created = await first.docker(
      'POST',
      '/services/create',
      serviceRequest({name: 'web', image: 'hawser-web', version: '1.0.0', replicas: 2}),
    );
    t.is(created.status, 201, created.body);
    const balancer = await startBalancer(
      {
        listen: {host: '10.86.0.1', port: 80},
        servers: machines.map(({name, address}, index) => ({
          name,
          host: address,
          servicePort: webPort,
          readyPort: 7071 + index,
        })),
        folder,
        servicePath: '/',
      },
      lab.enterHub,
    );
    await balancer.untilUp(2, 120, new AbortController().signal);

    const [program = '', ...enter] = lab.enterHub;
    const client = spawn(
      program,
      [...enter, process.execPath, join(import.meta.dirname, 'support/load-process.ts'), balancer.url],
      {stdio: ['pipe', 'pipe', 'inherit']},
    );
    let printed = '';
    client.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));

    const until = async (what: string, condition: () => Promise<boolean>) => {
      for (let left = 400; left > 0; left--) {
        if (await condition()) return;
        await delay(300);
      }
      throw new Error(`${what} does not come`);
    };
    const containers = async (machine: LabMachine) =>
      (JSON.parse((await machine.docker('GET', '/containers/json')).body) as unknown[]).length;
    const nodeId = async (machine: LabMachine) =>
      (JSON.parse((await machine.docker('GET', '/info')).body) as {Swarm: {NodeID: string}}).Swarm.NodeID;
    const setAvailability = async (machine: LabMachine, availability: 'active' | 'drain') => {
      const id = await nodeId(machine);
      const node = JSON.parse((await first.docker('GET', `/nodes/${id}`)).body) as {
        Version: {Index: number};
        Spec: object;
      };
      const answer = await first.docker('POST', `/nodes/${id}/update?version=${node.Version.Index}`, {
        ...node.Spec,
        Availability: availability,
      });
      t.is(answer.status, 200, answer.body);
    };

    const upElsewhere = async (machine: LabMachine) =>
      (await balancer.servers()).filter(each => each.name !== machine.name && each.up && each.passed).length;
    for (const machine of machines) {
      await machine.run('rm /run/ready/index.html\n', {timeoutMs: 10_000});
      await until(`${machine.name} out of service`, async () =>
        (await balancer.servers()).every(({name, up}) => name !== machine.name || !up),
      );
      // Slow answers of this machine may be under way: the container itself must see them to their end.
      await setAvailability(machine, 'drain');
      await until(`the end of the task on ${machine.name}`, async () => (await containers(machine)) === 0);
      await until('its replacement elsewhere', async () => (await upElsewhere(machine)) === 2);
      await setAvailability(machine, 'active');
      await machine.run('echo ok > /run/ready/index.html\n', {timeoutMs: 10_000});
    }
    client.stdin.end();
    await once(client, 'exit');
    const report = JSON.parse(printed) as LoadReport;
    t.log(JSON.stringify({...report, failures: report.failures.slice(0, 5)}));
    t.is(report.failed, 0);
    t.true(report.slowSucceeded >= 6);
    t.true(report.leastPerSecond >= 1);
    t.deepEqual(Object.keys(report.answeredBy), ['1.0.0 on n1', '1.0.0 on n2', '1.0.0 on n3']);
  },
);
