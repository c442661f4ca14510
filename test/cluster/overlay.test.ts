/** The overlay with real dockerd, a real server with its etcd, and real VXLAN: as its users see it. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {webCommand, webRootArchive} from '../../infra/quickstart/web-image.ts';
import {ExecError} from '../../services/common/exec.ts';
import {nameServerAddress} from '../../services/overlay-agent/adapters/name-server.ts';
import {labProblem, startLab, tail, type Lab, type LabMachine} from './support/lab.ts';
import {startOverlayLab, until, type OverlayLab, type Running} from './support/overlay-lab.ts';

const create = '-d hawser --ipam-driver hawser';
const cniPlugin = join(import.meta.dirname, '../../image-build/files/usr/lib/cni/hawser');

interface Stage {
  readonly lab: Lab;
  readonly overlay: OverlayLab;
  readonly m1: LabMachine;
  readonly m2: LabMachine;
  /** By name: the server, and the agent of each machine. */
  readonly processes: Map<string, Running>;
}

let stage: Stage;

async function setUp(): Promise<Stage> {
  const lab = await startLab(['m1', 'm2'], {dns: [nameServerAddress]});
  const overlay = await startOverlayLab(lab);
  const [m1, m2] = lab.machines;
  if (m1 === undefined || m2 === undefined) throw new Error('machines are missing');
  const processes = new Map<string, Running>();
  processes.set('server', await overlay.startServer());
  for (const machine of lab.machines) processes.set(machine.name, await overlay.startAgent(machine));
  const archive = await webRootArchive(1);
  for (const machine of lab.machines) await machine.importImage('web', archive);
  return {lab, overlay, m1, m2, processes};
}

const sh = (machine: LabMachine, line: string, timeoutMs?: number) =>
  stage.overlay.sh(machine, line, timeoutMs);

async function succeeds(machine: LabMachine, line: string): Promise<boolean> {
  return sh(machine, line).then(
    () => true,
    () => false,
  );
}

/** What a command that must fail wrote to standard error, or out. */
async function refusal(machine: LabMachine, line: string): Promise<string> {
  try {
    await sh(machine, line);
  } catch (error) {
    if (error instanceof ExecError) return error.result.stderr + error.result.stdout;
    throw error;
  }
  return '';
}

async function start(machine: LabMachine, name: string, flags: string): Promise<void> {
  await sh(
    machine,
    `docker run -d --name ${name} -e TEXT="hawser web ${name}" ${flags} web ${webCommand.join(' ')}`,
  );
}

function addressOn(machine: LabMachine, name: string, network: string): Promise<string> {
  return sh(
    machine,
    `docker inspect -f '{{(index .NetworkSettings.Networks "${network}").IPAddress}}' ${name}`,
  );
}

function fetch(machine: LabMachine, name: string, url: string): Promise<string> {
  return sh(machine, `docker exec ${name} /bin/busybox wget -q -T 3 -O - ${url}`);
}

/** Asks over and over; how long it took, in ms. */
function reaches(machine: LabMachine, name: string, url: string): Promise<number> {
  return until(
    () => succeeds(machine, `docker exec ${name} /bin/busybox wget -q -T 1 -O - ${url}`),
    () => `${name} on ${machine.name} does not reach ${url}`,
  );
}

/** By nslookup: wget of a static busybox cannot look names up. Asks over and over; how long it took, in ms. */
function finds(machine: LabMachine, name: string, host: string, address: string): Promise<number> {
  return until(
    async () =>
      (await sh(machine, `docker exec ${name} /bin/busybox nslookup ${host} || true`)).includes(address),
    () => `${name} on ${machine.name} does not find ${host}`,
  );
}

/** 500 packets a second from `aa` on m1 to an address, while something happens. */
async function flood(address: string, count: number, during: () => Promise<void>): Promise<string> {
  const line = `docker exec aa /bin/busybox ping -i 0.002 -c ${count} -W 1 -q ${address}`;
  const ping = sh(stage.m1, line, 120_000);
  await delay(300);
  await during();
  return ping;
}

const problem = await labProblem();
const run = problem === undefined ? test.serial : test.serial.skip;
if (problem !== undefined) test.serial(`the overlay: ${problem}`, t => t.log('SKIPPED', problem));
else
  test.before(async t => {
    t.timeout(300_000);
    stage = await setUp();
  });

test.afterEach.always(async t => {
  if (t.passed || problem !== undefined) return;
  for (const [name, {log}] of stage.processes) t.log(name, log().split('\n').slice(-40).join('\n'));
  for (const machine of stage.lab.machines)
    t.log(machine.name, await tail(machine, machine.dockerSocket.replace('docker.sock', 'dockerd.log')));
});

test.after.always(async () => {
  if (problem !== undefined) return;
  await stage.overlay.close();
  await stage.lab.close();
});

run(
  'a network made on one host is on the other, labels included; what cannot be is refused with the remedy',
  async t => {
    const {m1, m2} = stage;
    await sh(m1, `docker network create ${create} --subnet 10.99.0.0/24 --label team=a web`);
    const took = await until(
      () => succeeds(m2, 'docker network inspect web'),
      () => 'no network on m2',
    );
    t.log(`on the other host after ${took} ms`);
    t.is(
      await sh(m2, `docker network inspect -f '{{.Labels.team}} {{.Driver}} {{.IPAM.Driver}}' web`),
      'a hawser hawser',
    );
    t.regex(
      await refusal(m1, 'docker network create -d hawser --subnet 10.97.0.0/24 bad'),
      /--ipam-driver hawser/,
    );
    t.regex(await refusal(m1, `docker network create ${create} bad`), /--subnet/);
    t.regex(
      await refusal(m1, `docker network create ${create} --subnet 10.99.0.0/25 bad`),
      /overlaps 10\.99\.0\.0\/24 of network web/,
    );
    t.regex(
      await refusal(m1, `docker network create ${create} --subnet 10.97.0.0/24 --ip-range 10.97.0.0/25 bad`),
      /--ip-range/,
    );
  },
);

run(
  'containers reach each other across hosts, by address and by name, and nobody on another network',
  async t => {
    const {m1, m2} = stage;
    await start(m1, 'aa', '--network web -p 18080:8080');
    await start(m2, 'bb', '--network web');
    const [a, b] = [await addressOn(m1, 'aa', 'web'), await addressOn(m2, 'bb', 'web')];
    t.not(a, b);
    t.log(`by address after ${await reaches(m1, 'aa', `http://${b}:8080/`)} ms`);
    t.is(await fetch(m1, 'aa', `http://${b}:8080/`), 'hawser web bb');
    t.is(await fetch(m2, 'bb', `http://${a}:8080/`), 'hawser web aa');
    t.log(`by name after ${await finds(m1, 'aa', 'bb', b)} ms more`);
    await finds(m2, 'bb', 'aa.web', a);
    t.false(await succeeds(m1, 'docker exec aa /bin/busybox nslookup nobody'));

    await start(m2, 'fixed', '--network web --ip 10.99.0.200');
    await reaches(m1, 'aa', 'http://10.99.0.200:8080/');
    t.regex(
      await refusal(m1, 'docker run --rm --network web --ip 10.99.0.200 web /bin/busybox true'),
      /10\.99\.0\.200/,
    );
    t.regex(
      await refusal(m1, 'docker run --rm --network web --ip 10.99.0.1 web /bin/busybox true'),
      /10\.99\.0\.1/,
    );

    await sh(m2, `docker network create ${create} --subnet 10.98.0.0/24 db`);
    await until(
      () => succeeds(m1, 'docker network inspect db'),
      () => 'no db on m1',
    );
    await start(m1, 'cc', '--network db');
    await start(m2, 'dd', '--network db');
    const d = await addressOn(m2, 'dd', 'db');
    await reaches(m1, 'cc', `http://${d}:8080/`);
    for (const host of [a, b, '10.99.0.1'])
      t.false(await succeeds(m1, `docker exec cc /bin/busybox wget -q -T 2 -O - http://${host}:8080/`), host);
    t.false((await sh(m1, 'docker exec cc /bin/busybox nslookup bb || true')).includes(b), 'nor its name');
    await sh(m1, 'docker network connect db aa');
    t.is(await fetch(m1, 'aa', `http://${d}:8080/`), 'hawser web dd', 'in two networks');
  },
);

run('published ports, and the networks of Docker itself, work beside it', async t => {
  const {m1, m2} = stage;
  t.is(await sh(m2, 'curl -s -m 3 http://10.86.1.1:18080/'), 'hawser web aa');
  await sh(m1, 'docker network create own');
  await start(m1, 'ee', '--network own');
  await start(m1, 'e2', '--network own');
  await finds(m1, 'ee', 'e2', await addressOn(m1, 'e2', 'own'));
  await sh(m1, 'docker rm -f ee e2 && docker network rm own');
});

run('the agents killed, stopped and started again: not a packet is lost', async t => {
  const {m1, m2, overlay, processes} = stage;
  const report = await flood(await addressOn(m2, 'bb', 'web'), 3000, async () => {
    await processes.get('m1')?.kill();
    await delay(500);
    processes.set('m1', await overlay.startAgent(m1));
    await processes.get('m2')?.kill('SIGTERM');
    await delay(500);
    processes.set('m2', await overlay.startAgent(m2));
  });
  t.regex(report, /3000 packets transmitted, 3000 packets received, 0% packet loss/);
});

run('server and etcd away: traffic goes on, containers start from the blocks held here', async t => {
  const {m1, m2, overlay, processes} = stage;
  await processes.get('server')?.kill('SIGTERM');
  await start(m1, 'ff', '--network web');
  const f = `http://${await addressOn(m1, 'ff', 'web')}:8080/`;
  await reaches(m2, 'bb', f); // its server takes a moment to listen
  t.is(await fetch(m2, 'bb', f), 'hawser web ff');
  t.regex(
    await refusal(m1, `docker network create ${create} --subnet 10.96.0.0/24 later`),
    /does not answer/,
  );
  processes.set('server', await overlay.startServer());
  await finds(m2, 'bb', 'ff', await addressOn(m1, 'ff', 'web'));
  await sh(m1, 'docker rm -f ff');
});

run('what somebody takes away in the kernel is back within moments', async t => {
  const {m1, m2} = stage;
  const [namespace = ''] = (await sh(m1, 'ls /run/netns')).split('\n');
  const tunnel = namespace.replace('hawser-', 'hwx');
  const b = await addressOn(m2, 'bb', 'web');
  const rows = await sh(m1, `bridge -n ${namespace} fdb show dev ${tunnel}`);
  const [mac = ''] = rows.split(' ');
  for (const line of [
    `ip -n ${namespace} route flush table main`,
    `bridge -n ${namespace} fdb del ${mac} dev ${tunnel} dst 10.86.1.2 self`,
    `ip -n ${namespace} neigh flush nud permanent dev ${tunnel}`,
    `ip -n ${namespace} link del ${tunnel}`,
    `ip -n ${namespace} link del br0`,
  ]) {
    await sh(m1, line);
    t.log(`${line}: reached again after ${await reaches(m1, 'aa', `http://${b}:8080/`)} ms`);
  }
  t.pass();
});

run('the store lost: hosts say again what they have, traffic goes on, no address is given twice', async t => {
  const {m1, m2, overlay, processes} = stage;
  const b = await addressOn(m2, 'bb', 'web');
  const before = await overlay.hawser('net', 'inspect', 'web');
  const report = await flood(b, 4000, async () => {
    await processes.get('server')?.kill('SIGTERM');
    await rm(join(overlay.home, 'etcd'), {recursive: true});
    processes.set('server', await overlay.startServer());
  });
  t.regex(report, /4000 packets received, 0% packet loss/);
  const vni = (text: string) => /vni +(\d+)/.exec(text)?.[1];
  const blocks = (text: string) => (text.match(/^10\.\S+\/\d+ +m\d/gm) ?? []).toSorted().join('\n');
  await until(
    async () => blocks(await overlay.hawser('net', 'inspect', 'web')) === blocks(before),
    () => before,
  );
  t.is(vni(await overlay.hawser('net', 'inspect', 'web')), vni(before));
  await start(m2, 'gg', '--network web');
  const all = [await addressOn(m2, 'gg', 'web'), b, await addressOn(m1, 'aa', 'web'), '10.99.0.200'];
  t.is(new Set(all).size, 4);
  await finds(m1, 'aa', 'gg', await addressOn(m2, 'gg', 'web'));
  await sh(m2, 'docker rm -f gg');
});

run('CNI: on the same networks, by the same addresses', async t => {
  const {m1, m2} = stage;
  await sh(m1, 'ip netns add pod');
  const cni = (command: string, over = '', config: object = {}) => {
    const text = JSON.stringify({cniVersion: '1.1.0', name: 'web', type: 'hawser', ...config});
    const env = `CNI_COMMAND=${command} CNI_CONTAINERID=pod1 CNI_NETNS=/run/netns/pod CNI_IFNAME=eth0 ${over}`;
    return `echo '${text}' | env ${env} ${cniPlugin}`;
  };
  t.like(JSON.parse(await sh(m1, cni('VERSION'))), {supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0']});
  t.is(await sh(m1, cni('STATUS')), '');
  t.like(JSON.parse(await refusal(m1, cni('STATUS', '', {name: 'nowhere'}))), {code: 50});
  const previous = {cniVersion: '1.1.0', interfaces: [{name: 'lo0'}], ips: [], dns: {domain: 'x'}};
  const added = JSON.parse(await sh(m1, cni('ADD', '', {prevResult: previous}))) as {
    interfaces: {name: string; sandbox?: string; mtu?: number}[];
    ips: {address: string; interface: number}[];
    dns: object;
  };
  t.is(added.interfaces.length, 3);
  t.like(added.interfaces[2], {name: 'eth0', sandbox: '/run/netns/pod', mtu: 1450});
  t.is(added.ips[0]?.interface, 2);
  t.deepEqual(added.dns, {domain: 'x'});
  const address = added.ips[0]?.address.split('/')[0] ?? '';
  await sh(m1, 'ip netns exec pod busybox httpd -p 8080 -h /etc/hawser');
  await reaches(m2, 'bb', `http://${address}:8080/update.json`);
  t.is(await sh(m1, cni('CHECK')), '');
  t.like(JSON.parse(await refusal(m1, cni('ADD'))), {code: 7});
  await sh(m1, 'ip -n pod addr flush dev eth0');
  t.like(JSON.parse(await refusal(m1, cni('CHECK'))), {code: 100});
  await sh(m1, cni('DEL'));
  await sh(m1, cni('DEL', 'CNI_NETNS='));
  t.notRegex(await sh(m1, 'ip -n pod link'), /eth0/);
  await sh(m1, cni('ADD', 'CNI_IFNAME=eth1'));
  await sh(m1, cni('GC', '', {'cni.dev/valid-attachments': [{containerID: 'other', ifname: 'eth0'}]}));
  t.notRegex(await sh(m1, 'ip -n pod link'), /eth1/);
  t.like(JSON.parse(await refusal(m1, cni('ADD', 'CNI_CONTAINERID='))), {code: 4});
  t.like(JSON.parse(await refusal(m1, cni('ADD', '', {cniVersion: '9.0.0'}))), {code: 1});
  t.regex(
    await sh(m1, 'curl -s --unix-socket /run/hawser/overlay.sock http://hawser/metrics'),
    /hawser_overlay_drift_total/,
  );
});

run('hawser net shows it, and check names what is wrong', async t => {
  const {m1, overlay} = stage;
  t.regex(await overlay.hawser('net', 'ls'), /web +10\.99\.0\.0\/24 +\d+ +2 /);
  t.regex(await overlay.hawser('net', 'inspect', 'web'), /10\.99\.0\.200 +m2 +fixed/);
  t.regex(await overlay.hawser('net', 'check'), /2 hosts and 2 networks: nothing is wrong/);
  await sh(m1, 'docker network create taken');
  await overlay.hawser('net', 'create', 'taken', '--subnet', '10.95.0.0/24');
  await until(
    async () => (await overlay.hawser('net', 'check')).includes('m1: network taken is not in Docker'),
    () => 'the clash is not reported',
  );
  await sh(m1, 'docker network rm taken');
  await overlay.hawser('net', 'rm', 'taken');
  await until(
    async () => (await overlay.hawser('net', 'check')).includes('nothing is wrong'),
    () => 'the clash is still reported',
  );
  t.pass();
});

run('a network in use is kept, and said by whom; unused, it goes everywhere', async t => {
  const {m1, m2} = stage;
  const namespaces = (await sh(m1, 'ls /run/netns')).split('\n').filter(name => name.startsWith('hawser-'));
  await sh(m1, 'docker rm -f aa');
  // Docker says that it is removed, whatever a driver answers.
  await sh(m1, 'docker network rm web');
  await until(
    () => succeeds(m1, 'docker network inspect web'),
    () => 'web does not come back',
  );
  t.regex(stage.processes.get('m1')?.log() ?? '', /has containers on m2 \(2\)/);
  await sh(m2, 'docker rm -f bb fixed');
  await until(
    async () => /web .* 0 +\d+\/253/.test(await stage.overlay.hawser('net', 'ls')),
    () => 'web still has containers',
  );
  await sh(m1, 'docker network rm web');
  await until(
    async () => !(await succeeds(m2, 'docker network inspect web')),
    () => 'web is still on m2',
  );
  await until(
    async () => (await sh(m2, 'ls /run/netns')).split('\n').length < namespaces.length,
    () => 'the namespace is still there',
  );
  t.pass();
});
