import test from 'ava';
import {rackPaths} from '../../../services/common/contracts/rack.ts';
import {sha256} from '../../../services/common/hash.ts';
import {fingerprintOf, makeBootKeys} from '../../../services/common/rack-crypto.ts';
import {Boot, anyMachine, diskOf, macOf, rackBench, reportOf, uuidOf, type RackBench} from './support.ts';

async function approved(boot: Boot, bench: RackBench) {
  await boot.report();
  await bench.rack.approve(macOf(boot.number), 'alice', fingerprintOf(boot.own.keys));
  return boot.open(await boot.report());
}

test('from an unknown machine to one that has joined', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  t.is((await bench.rack.decideBoot({mac: macOf(1)})).kind, 'netboot');
  const first = await boot.report();
  t.is(first.state, 'seen');
  t.is(first.task.kind, 'wait');
  t.is(first.fingerprint, fingerprintOf(boot.own.keys));

  await bench.rack.approve('SERIAL-1', 'alice', first.fingerprint);
  const permit = boot.open(await boot.report());
  t.is(permit.name, 'node-1');
  t.is(permit.disk.serial, 'DISK-1');
  t.deepEqual(boot.open(await boot.report()), permit);

  const config = await boot.config(permit.config.token, true);
  t.is(sha256(config.body), permit.config.sha256);
  t.is((await boot.begin(permit)).status, 200);
  t.is((await bench.rack.find('node-1')).state, 'installing');
  const progress = {step: 'write', done: 5, total: 10, lines: ['half of it']};
  t.is((await boot.post(rackPaths.progress(permit.id), progress)).status, 200);
  t.is(bench.rack.progressOf(permit.machine)?.done, 5);
  t.is((await boot.installed(permit)).status, 200);
  t.is((await boot.installed(permit)).status, 200);
  t.is((await boot.report()).task.kind, 'boot-disk');
  t.is((await bench.rack.decideBoot({uuid: uuidOf(1), mac: macOf(1)})).kind, 'local-disk');

  await bench.rack.noticeJoined();
  t.is((await bench.rack.find('node-1')).state, 'installed');
  bench.enrolled.add(permit.machine);
  await bench.rack.noticeJoined();
  t.is((await bench.rack.find('node-1')).state, 'joined');
});

test('an approval is for the keys that the operator saw', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  await boot.report();
  const other = fingerprintOf(makeBootKeys().keys);
  await t.throwsAsync(() => bench.rack.approve(macOf(1), 'alice', other), {code: 'wrong-fingerprint'});

  await bench.rack.approve(macOf(1), 'alice', fingerprintOf(boot.own.keys));
  // Whoever says to be this machine, with keys of its own: it is told nothing, and the approval is void.
  const impostor = new Boot(t, bench, 1);
  t.is((await impostor.report()).task.kind, 'wait');
  t.is((await boot.report()).state, 'seen');
});

test('a permit is burned by its first use', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  t.is((await boot.begin(permit)).status, 200);
  // Its answer was lost: the same attempt again.
  t.is((await boot.begin(permit)).status, 200);
  const again = await boot.begin(permit, 'B'.repeat(22));
  t.deepEqual([again.status, again.kind], [409, 'permit-used']);
  await boot.installed(permit);
  t.is((await boot.begin(permit)).status, 410);
});

test('a permit is for one disk', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  for (const wrong of [{serial: 'DISK-2'}, {bytes: 1}]) {
    const reply = await boot.begin(permit, undefined, wrong);
    t.deepEqual([reply.status, reply.kind], [409, 'wrong-disk']);
  }
  t.is((await bench.rack.find('node-1')).state, 'approved');
});

test('a machine that boots anew in the middle of its installation is quarantined', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  await boot.begin(permit);
  const next = new Boot(t, bench, 1);
  const answer = await next.report();
  t.is(answer.task.kind, 'quarantined');
  t.regex(answer.task.reason, /not whole/);
  t.is((await boot.begin(permit)).status, 410);

  await bench.rack.decide('node-1', {kind: 'release', by: 'alice'});
  const released = await next.report();
  t.is(released.state, 'seen');
  await bench.rack.approve('node-1', 'alice', released.fingerprint);
  const fresh = next.open(await next.report());
  t.not(fresh.id, permit.id);
  t.is(fresh.name, 'node-1');
  t.is((await next.begin(fresh)).status, 200);
});

test('a failure is told with its reason; before the beginning it voids the permit', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  t.is((await boot.failed(permit, false)).status, 200);
  const {state, reason = ''} = await bench.rack.find('node-1');
  t.is(state, 'quarantined');
  t.regex(reason, /the disk is broken \(write-failed; nothing was written\)/);
  t.is((await boot.begin(permit)).status, 410);
});

test('wiping an installed machine needs a decision, a new boot and a fresh approval', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  await boot.begin(permit);
  await boot.installed(permit);
  const {fingerprint} = await boot.report();
  await t.throwsAsync(() => bench.rack.approve('node-1', 'alice', fingerprint), {code: 'wrong-state'});
  await bench.rack.decide('node-1', {kind: 'reinstall', by: 'alice', keepData: true});
  t.is((await bench.rack.decideBoot({mac: macOf(1)})).kind, 'netboot');
  await t.throwsAsync(() => bench.rack.approve('node-1', 'alice', fingerprint), {code: 'no-disk'});

  const next = new Boot(t, bench, 1);
  await next.report({disks: [diskOf(1, {hawser: {version: '1.0.0', root: true}})]});
  await bench.rack.approve('node-1', 'alice', fingerprintOf(next.own.keys));
  const second = next.open(await next.report({disks: [diskOf(1, {hawser: {version: '1.0.0', root: true}})]}));
  t.true(second.keepData);
  t.is((await bench.rack.find('node-1')).generation, 2);
});

test('a config without the machine’s signature is handed out once', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  const {token} = permit.config;
  t.is((await boot.config(token, true)).status, 200);
  t.is((await boot.config(token, false)).status, 200);
  const second = await boot.config(token, false);
  t.deepEqual([second.status, second.kind], [410, 'token-burned']);
  t.is((await boot.config(token, true)).status, 200);
  await boot.begin(permit);
  await boot.installed(permit);
  t.is((await boot.config(token, true)).status, 410);
  t.is((await boot.config('A'.repeat(43), true)).status, 410);
  t.is((await boot.config('', false)).status, 401);
});

test('forged and replayed requests are refused, and change nothing', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  const body = {attempt: 'A'.repeat(22), disk: {path: '/dev/vda', serial: 'DISK-1', bytes: diskOf(1).bytes}};
  const forged = await boot.post(rackPaths.begin(permit.id), body, {signedBy: makeBootKeys()});
  t.deepEqual([forged.status, forged.kind], [401, 'not-authentic']);
  const replayed = await boot.post(rackPaths.begin(permit.id), body, {sequence: 1});
  t.deepEqual([replayed.status, replayed.kind], [409, 'replayed']);
  t.is((await boot.post(rackPaths.begin('A'.repeat(22)), body)).status, 410);
  t.is((await boot.post(rackPaths.begin('not-an-id'), body)).status, 400);
  t.is((await boot.post(rackPaths.report, {schema: 1})).status, 400);
  // Signed by one key, naming another.
  t.is((await boot.post(rackPaths.report, reportOf(1))).status, 401);
  t.is((await bench.rack.find('node-1')).state, 'approved');
});

test('while nothing is ready machines wait, and 503 says when to ask again', async t => {
  let ready = false;
  const supplies = {
    config: () =>
      ready ? Promise.resolve('{}') : Promise.reject(new Error('the disk of the server is full')),
  };
  const bench = await rackBench(t, {supplies});
  const boot = new Boot(t, bench, 1);
  const {fingerprint} = await boot.report();
  await bench.rack.approve(macOf(1), 'alice', fingerprint);
  const reply = await boot.post(rackPaths.report, reportOf(1, boot.own.keys));
  t.deepEqual([reply.status, reply.kind, reply.retryAfter], [503, 'not-ready', '5']);
  t.false(reply.body.includes('full'));
  ready = true;
  t.is((await boot.report()).task.kind, 'install');
});

test('groups that both fit, and no group, keep a machine waiting', async t => {
  const twice = ['a', 'b'].map(name => ({...anyMachine, name, match: {mac: [macOf(1).toUpperCase()]}}));
  const bench = await rackBench(t, {groups: twice});
  const [boot, stranger] = [new Boot(t, bench, 1), new Boot(t, bench, 2)];
  t.regex((await boot.report()).task.reason, /more than one group takes it: a, b/);
  await t.throwsAsync(() => bench.rack.approve(macOf(1), 'alice', fingerprintOf(boot.own.keys)), {
    code: 'ambiguous',
  });
  t.regex((await stranger.report()).task.reason, /no group/);
  const {groups} = await bench.rack.explain(macOf(1));
  t.deepEqual(groups.membership, {kind: 'ambiguous', groups: ['a', 'b']});
});

test('two machines with one UUID stay two; network cards of two machines in one are for a person', async t => {
  const bench = await rackBench(t);
  const [one, other, mixed] = [1, 2, 3].map(number => new Boot(t, bench, number));
  if (one === undefined || other === undefined || mixed === undefined) throw new Error('three boots');
  t.not((await one.report()).machine, (await other.report({uuid: uuidOf(1)})).machine);
  const nics = [1, 2].map(number => ({name: `eth${number}`, mac: macOf(number), up: true, addresses: []}));
  t.is((await mixed.report({nics})).task.kind, 'quarantined');
  t.is((await bench.rack.list()).length, 2);
});

test('BIOS is refused with the reason', async t => {
  const bench = await rackBench(t);
  const decision = await bench.rack.decideBoot({mac: macOf(1), platform: 'pcbios'});
  t.is(decision.kind, 'refuse');
  t.regex(decision.reason, /UEFI/);
});

test('a server that was started anew knows all of it', async t => {
  const bench = await rackBench(t);
  const boot = new Boot(t, bench, 1);
  const permit = await approved(boot, bench);
  const second = await rackBench(t, {folder: bench.folder});
  t.is((await second.rack.find('node-1')).permit?.id, permit.id);
});
