/** The etcd that `hawser server` starts for itself: who gets in, who takes it over, and what an older version left. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {request as plainRequest, type ClientRequest, type IncomingMessage} from 'node:http';
import {request, type RequestOptions} from 'node:https';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../services/common/clock.ts';
import {parseValue} from '../../services/common/parse.ts';
import {isAlive, processStart} from '../../services/common/process-identity.ts';
import {openEnrolment} from '../../services/provisioner/enrolment/index.ts';
import {startEmbeddedEtcd, type EmbeddedEtcd} from '../../services/update-server/adapters/embedded-etcd.ts';
import {clientOptions} from '../../services/update-server/adapters/etcd-credentials.ts';
import {createEtcdClient} from '../../services/update-server/adapters/etcd-store.ts';
import {freePort} from '../support/ports.ts';
import {Type} from 'typebox';

const Kept = Type.Object({
  clientPort: Type.Integer(),
  peerPort: Type.Integer(),
  pid: Type.Integer(),
});

async function newHome(t: ExecutionContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-embedded-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  return home;
}

async function start(t: ExecutionContext, home: string): Promise<EmbeddedEtcd> {
  const enrolment = await openEnrolment({home, clock: systemClock});
  const etcd = await startEmbeddedEtcd({
    home,
    clock: systemClock,
    signal: new AbortController().signal,
    env: {PATH: process.env['PATH'] ?? ''},
    issue: () => enrolment.storeCertificate(),
  });
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= etcd.stop());
  t.teardown(stop);
  return {...etcd, stop};
}

async function kept(home: string) {
  return parseValue(Kept, JSON.parse(await readFile(join(home, 'server', 'etcd.json'), 'utf8')), 'etcd.json');
}

function clientOf({url, credentials}: EmbeddedEtcd) {
  return createEtcdClient(clientOptions(url, credentials));
}

type Send = (options: RequestOptions, answered: (answer: IncomingMessage) => void) => ClientRequest;
const secure: Send = (options, answered) => request(options, answered);
const plain: Send = (options, answered) => plainRequest(options, answered);

/** The status of the answer, or that there was none. */
function ask(send: Send, options: RequestOptions): Promise<number | 'refused'> {
  return new Promise(resolve => {
    const asked = send({host: '127.0.0.1', agent: false, timeout: 5000, ...options}, answer => {
      answer.on('error', () => resolve('refused'));
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', () => resolve('refused'));
    asked.end();
  });
}

test('both ports refuse who has no certificate, and who has one of the fleet', async t => {
  const home = await newHome(t);
  const etcd = await start(t, home);
  const {clientPort, peerPort} = await kept(home);
  const {ca, certificate, key} = etcd.credentials;
  const own = {ca, cert: certificate, key};
  t.is(await ask(secure, {port: clientPort, path: '/version', ...own}), 200);
  t.is(await ask(secure, {port: peerPort, path: '/members', ...own}), 200);

  const enrolment = await openEnrolment({home, clock: systemClock});
  const ofFleet = await enrolment.serverCertificate([]);
  const strangers: RequestOptions[] = [{ca}, {ca, cert: ofFleet.certificate, key: ofFleet.key}];
  for (const port of [clientPort, peerPort]) {
    t.not(await ask(plain, {port, path: '/version'}), 200, 'without TLS');
    for (const each of strangers) t.is(await ask(secure, {port, path: '/version', ...each}), 'refused');
  }
  const folder = join(home, 'server', 'etcd-tls');
  t.is((await stat(folder)).mode & 0o777, 0o700);
  for (const name of await readdir(folder)) t.is((await stat(join(folder, name))).mode & 0o777, 0o600);
});

test('a server that was killed leaves it running, and the next takes it over with what it holds', async t => {
  const home = await newHome(t);
  const first = await start(t, home);
  const {pid} = await kept(home);
  const one = clientOf(first);
  t.teardown(() => one.close());
  await one.put('/kept').value('yes');
  const second = await start(t, home);
  t.is((await kept(home)).pid, pid);
  t.deepEqual(second.credentials, first.credentials);
  const two = clientOf(second);
  t.teardown(() => two.close());
  t.is(await two.get('/kept').string(), 'yes');
  const left = {pid, started: (await processStart(pid)) ?? ''};
  await second.stop();
  t.false(await isAlive(left));
});

test('one that an older version left without TLS is ended, and its data served behind it', async t => {
  const home = await newHome(t);
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  await mkdir(join(home, 'server'), {recursive: true});
  const old = spawn(
    'etcd',
    [
      ['--name', 'hawser', '--data-dir', join(home, 'etcd'), '--log-level', 'error'],
      ['--listen-client-urls', client, '--advertise-client-urls', client],
      ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ['--initial-cluster', `hawser=${peer}`],
    ].flat(),
    {stdio: 'ignore'},
  );
  const ended = once(old, 'exit');
  t.teardown(async () => {
    old.kill('SIGKILL');
    await ended;
  });
  const before = createEtcdClient({hosts: [client]});
  t.teardown(() => before.close());
  for (let tries = 0; (await ask(plain, {port: clientPort, path: '/health'})) !== 200; tries++) {
    if (tries > 200) throw new Error('etcd did not start');
    await systemClock.sleep(50);
  }
  await before.put('/kept').value('from before');
  const {pid = 0} = old;
  const started = await processStart(pid);
  await writeFile(join(home, 'server', 'etcd.json'), JSON.stringify({clientPort, peerPort, pid, started}));

  const etcd = await start(t, home);
  await ended;
  t.not((await kept(home)).pid, pid);
  const after = clientOf(etcd);
  t.teardown(() => after.close());
  t.is(await after.get('/kept').string(), 'from before');
});
