/** Health and drain, with a Docker of a few lines behind a real socket, and real executables. */
import {chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Clock} from '../../services/common/clock.ts';
import {dockerApi, type DockerApi} from '../../services/update-agent/adapters/docker.ts';
import {parseEnvironment} from '../../services/update-agent/adapters/etcd.ts';
import {countForwarded} from '../../services/update-agent/drain/connections.ts';
import {publishedPorts} from '../../services/update-agent/drain/published-ports.ts';
import {drains} from '../../services/update-agent/drain/drain.ts';
import {drainBlockers, returnBlockers} from '../../services/update-agent/drain/swarm-plan.ts';
import {healthChecks} from '../../services/update-agent/health/health.ts';
import {runChecks} from '../../services/update-agent/health/operator-checks.ts';
import {judge, noBaseline, type Observation} from '../../services/update-agent/health/verdict.ts';

const well: Observation = {...noBaseline, containers: ['web'], etcd: true};

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-service-'));
  t.teardown(() => rm(path, {recursive: true}));
  return path;
}

async function executable(path: string, text: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
}

function fastClock(): {clock: Clock; monotonicMs(): number} {
  let ms = 0;
  return {
    clock: {now: () => new Date(ms), sleep: async time => void (ms += time)},
    monotonicMs: () => ms,
  };
}

test('the verdict: only what was well before, and is not now', t => {
  t.deepEqual(judge(well, well, []), []);
  t.deepEqual(
    judge({...well, failedUnits: ['old.service']}, {...well, failedUnits: ['old.service']}, []),
    [],
  );
  t.deepEqual(judge(well, {...well, failedUnits: ['new.service']}, []), ['the unit new.service has failed']);
  t.deepEqual(judge(well, {...well, containers: ['other']}, []), ['the container web does not run']);
  t.deepEqual(judge(well, {...well, docker: false, containers: []}, []), ['Docker does not answer']);
  t.deepEqual(
    judge({...well, docker: false, containers: []}, {...well, docker: false, containers: []}, []),
    [],
  );
  t.deepEqual(judge(well, {...well, etcd: false}, []), ['the etcd member is not healthy']);
  const {etcd: _none, ...gone} = well;
  t.deepEqual(judge(well, gone, []), ['the etcd member is not healthy'], 'its configuration went away');
  t.deepEqual(judge({...well, network: false}, {...well, network: false}, []), []);
  t.is(judge(well, {...well, network: false, clock: false}, []).length, 2);
  t.deepEqual(judge(well, well, [{name: 'app', ok: false, detail: 'exit code 1'}]), [
    'the check app failed: exit code 1',
  ]);
});

test('health is shown within the time and kept for the settling; a relapse begins it anew', async t => {
  const path = join(await folder(t), 'baseline.json');
  const given = (sequence: readonly boolean[]) => {
    let at = 0;
    return healthChecks({
      ...fastClock(),
      baseline: path,
      timeoutSeconds: 60,
      settleSeconds: 10,
      observe: async () => ({...noBaseline, network: sequence[Math.min(at++, sequence.length - 1)] ?? true}),
      runChecks: async () => [],
      log: () => undefined,
    });
  };
  t.deepEqual(
    await given([true]).prove(),
    {kind: 'healthy'},
    'without a baseline: what any machine must have',
  );
  t.deepEqual(await given([false, false, true]).prove(), {kind: 'healthy'});
  t.deepEqual(await given([false]).prove(), {kind: 'unhealthy', detail: 'there is no route to the network'});
  const relapsing = [
    true,
    true,
    false,
    true,
    true,
    false,
    true,
    true,
    false,
    ...Array.from({length: 30}, () => false),
  ];
  t.is((await given(relapsing).prove()).kind, 'unhealthy');
  await given([false]).takeBaseline();
  t.deepEqual(await given([false]).prove(), {kind: 'healthy'}, 'it had no route before either');
});

test("the operator's checks: executables only, in order, none is waited for without end", async t => {
  const path = join(await folder(t), 'health.d');
  t.deepEqual(await runChecks(path), []);
  await mkdir(path);
  await executable(join(path, '20-bad'), 'echo "no database" >&2; exit 3');
  await executable(join(path, '10-good'), 'exit 0');
  await executable(join(path, '.hidden'), 'exit 1');
  await writeFile(join(path, 'README'), 'not executable');
  t.deepEqual(await runChecks(path), [
    {name: '10-good', ok: true, detail: ''},
    {name: '20-bad', ok: false, detail: '20-bad failed (exit code 3): no database'},
  ]);
});

interface SwarmState {
  availability: string;
  version: number;
  conflicts: number;
  broken?: boolean;
  local: 'active' | 'inactive';
  readonly log: string[];
}

/** A Docker with one service of two replicas, one of them here until the node is drained. */
async function fakeDocker(t: ExecutionContext) {
  const socket = join(await folder(t), 'docker.sock');
  const state: SwarmState = {availability: 'active', version: 7, conflicts: 0, local: 'active', log: []};
  const task = (node: string, desired = 'running', status = desired) => ({
    ID: node,
    ServiceID: 's',
    NodeID: node,
    DesiredState: desired,
    Status: {State: status},
  });
  const server = createServer((request, response) => {
    const answer = (body: unknown, status = 200) => {
      response.writeHead(status);
      response.end(JSON.stringify(body));
    };
    const url = new URL(request.url ?? '/', 'http://docker');
    if (url.pathname === '/info') {
      return answer({
        Swarm: {
          NodeID: 'n1',
          LocalNodeState: state.local,
          ControlAvailable: state.local === 'active',
          Cluster: {ID: 'c'},
        },
      });
    }
    if (url.pathname === '/nodes') {
      return answer(
        ['reachable', 'reachable', 'unreachable'].map((Reachability, index) => ({
          ID: `n${index + 1}`,
          Version: {Index: 1},
          Spec: {Availability: 'active'},
          ManagerStatus: {Reachability},
        })),
      );
    }
    if (url.pathname === '/nodes/n1')
      return answer({
        ID: 'n1',
        Version: {Index: state.version},
        Spec: {Availability: state.availability, Role: 'manager', Labels: {rack: '7'}},
      });
    if (url.pathname === '/services')
      return answer([
        {
          ID: 's',
          Spec: {Name: 'web', Mode: {Replicated: {Replicas: 2}}},
          Endpoint: {Ports: [{Protocol: 'tcp', TargetPort: 80, PublishedPort: 8000, PublishMode: 'ingress'}]},
        },
      ]);
    if (url.pathname === '/containers/json') {
      if (state.broken) return answer({message: 'out of memory'}, 500);
      return answer([{Ports: [{IP: '0.0.0.0', PrivatePort: 5432, PublicPort: 5432, Type: 'tcp'}]}]);
    }
    if (url.pathname === '/tasks') {
      return answer(
        state.availability === 'drain'
          ? [task('n1', 'shutdown'), task('n2'), task('n3')]
          : [task('n1'), task('n2')],
      );
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (Number(url.searchParams.get('version')) !== state.version || state.conflicts > 0) {
        state.conflicts -= 1;
        return answer({message: 'update out of sequence'}, 500);
      }
      const spec = JSON.parse(body) as {Availability: string; Role: string; Labels: unknown};
      state.log.push(`${spec.Availability} ${spec.Role} ${JSON.stringify(spec.Labels)}`);
      state.availability = spec.Availability;
      state.version += 1;
      return answer({});
    });
  });
  await new Promise<void>(resolve => server.listen(socket, resolve));
  t.teardown(() => void server.close());
  return {docker: dockerApi(socket), state};
}

interface DrainOver {
  readonly open?: number[];
  readonly hook?: string;
  readonly ports?: readonly number[] | undefined;
  readonly docker?: DockerApi;
}

async function drain(t: ExecutionContext, over: DrainOver = {}) {
  const root = await folder(t);
  const {docker, state} = await fakeDocker(t);
  await mkdir(join(root, 'drain.d'));
  await executable(join(root, 'drain.d/10-log'), `echo "10 $1" >> ${root}/hooks; ${over.hook ?? ''}`);
  await executable(join(root, 'drain.d/20-log'), `echo "20 $1" >> ${root}/hooks`);
  const open = over.open ?? [0];
  let at = 0;
  const waits: string[] = [];
  const asked: (readonly number[])[] = [];
  const port = drains({
    ...fastClock(),
    marker: join(root, 'update/draining'),
    hooks: join(root, 'drain.d'),
    ports: 'ports' in over ? over.ports : [80],
    leaveSeconds: 5,
    timeoutSeconds: 20,
    docker: over.docker ?? docker,
    connections: async ports => (asked.push(ports), open[Math.min(at++, open.length - 1)] ?? 0),
    log: line => t.log(line),
  });
  return {port, state, root, waits, asked, waiting: (what: string) => void waits.push(what)};
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

test('out of service: the address first, then connections, Swarm, hooks; back in the reverse order', async t => {
  const {port, state, root, waits, waiting} = await drain(t, {open: [2, 1, 0]});
  state.conflicts = 2;
  t.deepEqual(await port.drain(waiting), {kind: 'drained'});
  t.true(await isThere(join(root, 'update/draining')));
  t.deepEqual(state.log, ['drain manager {"rack":"7"}'], 'the rest of the node is as it was');
  t.deepEqual(waits.slice(0, 2), ['the balancers, 5 s', '2 open connections']);
  t.deepEqual(await port.drain(waiting), {kind: 'drained'}, 'again');
  t.deepEqual(await port.undo(waiting), {kind: 'returned'});
  t.false(await isThere(join(root, 'update/draining')));
  t.is(state.log.at(-1), 'active manager {"rack":"7"}');
  const hooks = await readFile(join(root, 'hooks'), 'utf8');
  t.is(hooks, '10 drain\n20 drain\n10 drain\n20 drain\n20 return\n10 return\n');
});

test('a connection that stays blocks the drain, and is named', async t => {
  const {port, state, waiting} = await drain(t, {open: [3]});
  t.deepEqual(await port.drain(waiting), {kind: 'drain-blocked', detail: '3 open connections after 20 s'});
  t.deepEqual(state.log, [], 'the Swarm was not touched');
});

test('without configuration, connections to what Docker publishes here are waited for', async t => {
  const {port, state, asked, waiting} = await drain(t, {ports: undefined, open: [1, 0]});
  t.deepEqual(await port.drain(waiting), {kind: 'drained'});
  t.deepEqual(asked, [
    [5432, 8000],
    [5432, 8000],
  ]);
  state.local = 'inactive';
  const alone = await drain(t, {ports: undefined});
  alone.state.local = 'inactive';
  t.deepEqual(await alone.port.drain(waiting), {kind: 'drained'});
  t.deepEqual(alone.asked, [[5432]], 'only a manager knows the services');
});

test('an empty list of ports waits for none, whatever Docker publishes', async t => {
  const {port, asked, waiting} = await drain(t, {ports: []});
  t.deepEqual(await port.drain(waiting), {kind: 'drained'});
  t.deepEqual(asked, [[]]);
});

test('a Docker that is not there publishes nothing; one that is broken fails the drain', async t => {
  const gone = await drain(t, {ports: undefined, docker: dockerApi('/nonexistent/docker.sock')});
  t.deepEqual(await gone.port.drain(gone.waiting), {kind: 'drained'});
  t.deepEqual(gone.asked, [[]]);
  const broken = await drain(t, {ports: undefined});
  broken.state.broken = true;
  t.like(await broken.port.drain(broken.waiting), {kind: 'drain-failed'});
  t.deepEqual([broken.asked, broken.state.log], [[], []]);
});

test('the ports that Docker publishes to the world: tcp, once each, not on loopback, ingress but not host', t => {
  const container = (IP: string, PublicPort: number, protocol = 'tcp') => ({
    Ports: [{IP, PrivatePort: 1, PublicPort, Type: protocol}],
  });
  const containers = [
    container('0.0.0.0', 8080),
    container('::', 8080),
    container('10.0.0.1', 443),
    container('127.0.0.1', 9000),
    container('::1', 9001),
    container('0.0.0.0', 53, 'udp'),
    {Ports: [{PrivatePort: 3306, Type: 'tcp'}]},
    {Ports: null},
    {},
  ];
  const service = (port: object) => ({Endpoint: {Ports: [port]}});
  const services = [
    service({PublishedPort: 30_000}),
    service({Protocol: 'tcp', PublishedPort: 80, PublishMode: 'ingress'}),
    service({Protocol: 'udp', PublishedPort: 81, PublishMode: 'ingress'}),
    service({Protocol: 'tcp', PublishedPort: 82, PublishMode: 'host'}),
    service({Protocol: 'tcp', PublishedPort: 0, PublishMode: 'ingress'}),
    service({Protocol: 'tcp', TargetPort: 83}),
    {Endpoint: {Ports: null}},
    {Endpoint: {}},
    {},
  ];
  t.deepEqual(publishedPorts(containers, services), [80, 443, 8080, 30_000]);
  t.deepEqual(publishedPorts([], []), []);
});

test('a hook that fails is a failed drain, not a blocked one', async t => {
  const {port, waiting} = await drain(t, {hook: 'echo "database busy" >&2; exit 1'});
  const event = await port.drain(waiting);
  t.like(event, {kind: 'drain-failed'});
  t.regex('detail' in event ? event.detail : '', /10-log failed.*database busy/);
});

test('the quorum guard is told what is seen; a machine without Docker drains what it has', async t => {
  const {port, state, waiting} = await drain(t);
  t.deepEqual(await port.clusters(), [{kind: 'swarm', cluster: 'c', members: 3, healthy: 2}]);
  state.local = 'inactive';
  t.deepEqual(await port.clusters(), []);
  t.deepEqual(await port.drain(waiting), {kind: 'drained'});
  t.deepEqual(state.log, []);
});

test('what a Swarm drain waits for', t => {
  const services = [
    {ID: 's', Spec: {Name: 'web', Mode: {Replicated: {Replicas: 2}}}},
    {ID: 'g', Spec: {Name: 'logs', Mode: {}}},
  ];
  const task = (NodeID: string, state: string, ServiceID = 's', DesiredState = 'running') => ({
    ID: 'x',
    ServiceID,
    NodeID,
    DesiredState,
    Status: {State: state},
  });
  t.deepEqual(
    drainBlockers(
      services,
      [task('n2', 'running'), task('n3', 'running'), task('n1', 'shutdown', 's', 'shutdown')],
      'n1',
    ),
    [],
  );
  t.deepEqual(drainBlockers(services, [task('n2', 'running'), task('n3', 'preparing')], 'n1'), [
    '1 of 2 replicas of web elsewhere',
  ]);
  t.deepEqual(
    drainBlockers(
      services,
      [task('n2', 'running'), task('n3', 'running'), task('n1', 'running', 's', 'shutdown')],
      'n1',
    ),
    ['1 tasks of web on this node'],
  );
  t.deepEqual(
    drainBlockers(services, [task('n2', 'running'), task('n3', 'running'), task('n1', 'running', 'g')], 'n1'),
    ['1 tasks of logs on this node'],
  );
  t.deepEqual(returnBlockers(services, [task('n1', 'running'), task('n2', 'starting')]), [
    '1 of 2 replicas of web',
  ]);
});

test('forwarded connections are told from the host’s own', t => {
  const table = [
    'tcp 6 431 ESTABLISHED src=10.0.0.9 dst=10.0.0.1 sport=5000 dport=80 src=172.18.0.2 dst=10.0.0.9 sport=80 dport=5000 [ASSURED] mark=0 use=1',
    'tcp 6 431 ESTABLISHED src=10.0.0.9 dst=10.0.0.1 sport=5001 dport=22 src=10.0.0.1 dst=10.0.0.9 sport=22 dport=5001 [ASSURED] mark=0 use=1',
    'tcp 6 431 ESTABLISHED src=10.0.0.9 dst=10.0.0.1 sport=5002 dport=8080 src=172.18.0.2 dst=10.0.0.9 sport=80 dport=5002 [ASSURED] mark=0 use=1',
  ].join('\n');
  t.is(countForwarded(table, [80, 22]), 1);
  t.is(countForwarded(table, [8080]), 1);
  t.is(countForwarded('', [80]), 0);
});

test('a forwarded connection that was silent for more than an hour is nobody’s; where that is not known, all count', t => {
  const entry = (left: string, sport: number) =>
    `tcp      6 ${left} ESTABLISHED src=10.0.0.9 dst=10.0.0.1 sport=${sport} dport=80 src=172.18.0.2 dst=10.0.0.9 sport=80 dport=${sport} [ASSURED] mark=0 use=1`;
  const table = [entry('432000', 1), entry('428400', 2), entry('428399', 3), entry('301', 4)].join('\n');
  t.is(countForwarded(table, [80], 432_000), 2);
  t.is(countForwarded(table, [80]), 4);
  // With data on its way the kernel counts down from five minutes.
  t.is(countForwarded(entry('299', 5), [80], 432_000), 1);
});

test("etcdctl's environment is read as a shell would read it", t => {
  const text =
    'ETCDCTL_API=3\nETCDCTL_ENDPOINTS="https://a:2379,https://b:2379"\nexport ETCDCTL_CACERT=\'/x/ca.pem\'\n# no\nPATH=/evil\n';
  t.deepEqual(parseEnvironment(text), {
    ETCDCTL_API: '3',
    ETCDCTL_ENDPOINTS: 'https://a:2379,https://b:2379',
    ETCDCTL_CACERT: '/x/ca.pem',
  });
});
