/** A machine's whole life by the real command: published, made, reached, stopped, started, removed; killed in between. */
import {spawn} from 'node:child_process';
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {findSshd, startGuest} from '../machine-drivers/support/guest.ts';
import {launcher} from '../support/cli.ts';
import {bench, firstServer, lastLine, size, test} from './support/bench.ts';
import {enterLab, inventory, nothing, password} from './support/lab.ts';
import {readFirstBoot, userDataOf} from './support/user-data.ts';

test('published, made with user data and a floating address, enrolled, stopped, started, removed', async t => {
  const {operator, session} = await bench(t);
  const admin = await enterLab(t, 'admin');
  const root = join(operator.home, 'guest');
  await mkdir(root);
  const guest = await startGuest(t, root, (await findSshd()) ?? '');
  const at = ({host, port}: {host: string; port: number}) => `${host}:${port}`;
  const words = `machine create web --openstack-floatingip-pool public --output json
    --openstack-ssh-user ${guest.login} --openstack-ssh-address ${at(guest.endpoint.ssh)}
    --openstack-docker-address ${at(guest.endpoint.docker)}`;
  const creating = operator.run([...words.split(/\s+/), ...size]);
  // What Ignition does, done here with the bytes that Nova would give the machine.
  const {keys, enrolment} = readFirstBoot(await userDataOf(admin, await firstServer(session)));
  await guest.firstBoot(keys, enrolment);
  const serving = guest.serveDocker();
  const created = await creating;
  t.is(created.code, 0, created.stderr);
  await serving;
  t.like(await inventory(session), {servers: 1, ports: 1, 'floating addresses': 1, 'security groups': 1});

  t.is(await operator.must(['machine', 'status', 'web']), 'Running');
  t.regex(await operator.must(['machine', 'ip', '--private', 'web']), /^10\.20\.0\.\d+$/);
  t.regex(await operator.must(['machine', 'inspect', 'web']), /"floatingAddress": "172\.24\.4\.\d+"/);
  await operator.must(['machine', 'stop', 'web']);
  t.is(await operator.must(['machine', 'status', 'web']), 'Stopped');
  await operator.must(['machine', 'start', 'web']);
  t.is(await operator.must(['machine', 'status', 'web']), 'Running');
  const again = await operator.run(['machine', 'create', 'web', ...size]);
  t.is(again.code, 1);
  t.regex(again.stderr, /already exists/);
  const store = await readFile(join(operator.home, 'machines', 'web', 'machine.json'), 'utf8');
  t.false(store.includes(password));
  await operator.must(['machine', 'rm', '-y', 'web']);
  t.deepEqual(await inventory(session), nothing);
});

test('killed while the server is made, the same command ends with one of each', async t => {
  const {operator, session} = await bench(t);
  const words = [
    'machine',
    'create',
    'cut',
    ...size,
    '--openstack-ssh-address',
    '127.0.0.1:1',
    '--timeout',
    '1',
  ];
  const child = spawn(launcher, words, {env: {...operator.env}, stdio: 'ignore', detached: true});
  const ended = new Promise(resolve => child.once('exit', resolve));
  const ledger = join(operator.home, 'machines', 'cut', 'ledger.jsonl');
  while (!(await readFile(ledger, 'utf8').catch(() => '')).includes('"step":"server","event":"intent"'))
    await delay(20);
  await firstServer(session);
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  await ended;
  // No guest answers: it stops at the first step that needs one, and keeps what there is.
  const again = await operator.run(words);
  t.is(again.code, 1);
  t.regex(lastLine(again.stderr), /not finished/);
  t.like(await inventory(session), {servers: 1, ports: 1});
  await operator.must(['machine', 'rm', '-y', 'cut']);
  t.deepEqual(await inventory(session), nothing);
});
