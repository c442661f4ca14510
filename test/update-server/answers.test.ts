import test from 'ava';
import {createMemoryStore} from '../../services/update-server/adapters/memory-store.ts';
import {bench, failure, report, uuidOf, withReleases} from './support.ts';

test('a machine of a group gets the promoted release, and is up to date when it runs it', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('web', {channel: 'stable'});
  t.like(await b.check(1), {action: 'none', reason: 'no group selects this machine'});
  t.like(await b.check(1, {labels: {group: 'web'}}), {
    action: 'none',
    reason: 'the channel stable offers nothing yet',
  });
  await b.promote('2.0.0');
  t.like(await b.check(1, {labels: {group: 'web'}}), {action: 'apply', version: '2.0.0', pollSeconds: 300});
  t.like(await b.check(1, {labels: {group: 'web'}, version: '2.0.0'}), {
    action: 'none',
    reason: 'up to date',
  });
  t.is(b.service.fleet.rollouts.get('web')?.state, 'completed');
});

test('a machine that two groups select is in neither, and status says so', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('web', {channel: 'stable', selector: {role: 'web'}});
  await b.group('eu', {channel: 'stable', selector: {region: 'eu'}});
  await b.promote('2.0.0');
  const labels = {role: 'web', region: 'eu'};
  t.like(await b.check(1, {labels}), {action: 'none', reason: 'several groups select this machine: eu, web'});
  const status = await b.as('viewer', 'GET', '/v1/machines/m1');
  t.like(status.body, {problem: 'several groups select this machine: eu, web'});
  t.is((await b.as('operator', 'PATCH', '/v1/machines/m1', {group: 'web'})).status, 200);
  t.like(await b.check(1, {labels}), {action: 'apply', version: '2.0.0'});
});

test('the group without a selector takes the machines that no other selects', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('rest', {channel: 'stable', selector: {}});
  await b.group('web', {channel: 'stable'});
  await b.promote('2.0.0');
  await b.check(1);
  await b.check(2, {labels: {group: 'web'}});
  t.deepEqual([...b.service.fleet.membersOf('rest')], [uuidOf(1)]);
  t.deepEqual([...b.service.fleet.membersOf('web')], [uuidOf(2)]);
});

test('the rollout stops after k machines failed, for all others at once, and resumes by hand only', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('web', {channel: 'stable', selector: {}, stopAfter: 2});
  for (const number of [1, 2, 3, 4]) await b.check(number);
  await b.promote('2.0.0');
  await b.check(1, {failed: [failure('2.0.0')], phase: 'fell-back'});
  t.like(await b.check(3), {action: 'apply'});
  await b.check(1, {failed: [failure('2.0.0')], phase: 'fell-back'});
  t.like(await b.check(3), {action: 'apply'}, 'the same machine again is one');
  await b.check(2, {failed: [failure('2.0.0')], phase: 'fell-back'});
  t.like(await b.check(3), {action: 'none', reason: 'rollout stopped: failed on m1, m2'});
  t.is((await b.as('operator', 'POST', '/v1/rollouts/web/resume', {})).status, 200);
  t.like(await b.check(3), {action: 'apply'});
  t.regex((await b.check(1, {failed: [failure('2.0.0')]})).reason, /not tried again/);
});

test('a machine that stays away past its deadline counts as failed', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('web', {channel: 'stable', selector: {}, deadlineSeconds: 600});
  for (const number of [1, 2]) await b.check(number);
  await b.promote('2.0.0');
  await b.check(1, {phase: 'draining', staged: '2.0.0'});
  b.clock.advance(599);
  t.like(await b.check(2), {action: 'apply'});
  b.clock.advance(2);
  b.service.conductor.tick();
  await b.service.conductor.settle();
  t.like(await b.check(2), {action: 'none', reason: 'rollout stopped: failed on m1'});
});

test('barriers are passed through, version ranges kept, withdrawn releases dropped', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.publish('1.5.0', {barrier: true});
  await b.publish('3.0.0', {from: '>=2.0.0'});
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  await b.promote('3.0.0');
  t.like(await b.check(1), {action: 'apply', version: '1.5.0'});
  t.like(await b.check(1, {version: '1.5.0'}), {action: 'apply', version: '2.0.0'});
  t.like(await b.check(1, {version: '2.0.0', staged: '3.0.0'}), {action: 'apply', version: '3.0.0'});
  t.is((await b.as('operator', 'POST', '/v1/releases/3.0.0/withdraw', {reason: 'eats data'})).status, 200);
  t.like(await b.check(1, {version: '2.0.0', staged: '3.0.0'}), {
    action: 'none',
    reason: 'release 3.0.0 is withdrawn',
  });
  t.is(b.service.fleet.rollouts.get('all')?.state, 'stopped');
});

test('a newer machine goes down only to a release that allows it', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.publish('1.9.0', {downgradeFrom: '2.x'});
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1, {version: '2.0.0'});
  await b.promote('1.0.0');
  t.like(await b.check(1, {version: '2.0.0'}), {action: 'none', reason: 'runs a newer version than 1.0.0'});
  await b.promote('1.9.0');
  t.like(await b.check(1, {version: '2.0.0'}), {action: 'apply', version: '1.9.0'});
});

test('pins of a machine and of a group win over the channel', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b, '1.5.0');
  await b.group('all', {channel: 'stable', selector: {}});
  for (const number of [1, 2]) await b.check(number);
  await b.promote('2.0.0');
  await b.as('operator', 'PATCH', '/v1/machines/m1', {pin: '1.5.0'});
  t.like(await b.check(1), {action: 'apply', version: '1.5.0'});
  t.like(await b.check(1, {version: '1.5.0'}), {action: 'none', reason: 'pinned to 1.5.0'});
  t.like(await b.check(2), {action: 'apply', version: '2.0.0'});
  await b.group('all', {channel: 'stable', selector: {}, pin: '1.0.0'});
  t.like(await b.check(2), {action: 'none', reason: 'pinned to 1.0.0'});
  await b.as('operator', 'PATCH', '/v1/machines/m1', {pin: null});
  t.like(await b.check(1), {action: 'none', reason: 'pinned to 1.0.0'});
});

test('outside its window a machine stages, inside it reboots, and one that is under way goes on', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  const windows = [{start: '0 12 * * *', minutes: 60, zone: 'UTC'}];
  await b.group('all', {channel: 'stable', selector: {}, windows, pollSeconds: 86_400});
  await b.check(1);
  await b.promote('2.0.0');
  const early = await b.check(1);
  t.like(early, {action: 'stage', version: '2.0.0', pollSeconds: 7200});
  t.regex(early.reason, /window opens at 2026-03-02T12:00/);
  b.clock.advance(2 * 3600);
  t.like(await b.check(1), {action: 'apply'});
  await b.check(1, {phase: 'draining', staged: '2.0.0'});
  b.clock.advance(3600);
  t.like(await b.check(2), {action: 'stage'});
  t.like(await b.check(1, {phase: 'draining', staged: '2.0.0'}), {action: 'apply'});
});

test('a pause keeps what is staged, an abort drops it, a new promotion begins anew', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b, '3.0.0');
  await b.group('all', {channel: 'stable', selector: {}});
  for (const number of [1, 2]) await b.check(number);
  await b.promote('2.0.0');
  await b.as('operator', 'POST', '/v1/rollouts/all/pause', {reason: 'lunch'});
  t.like(await b.check(1, {staged: '2.0.0', phase: 'staged'}), {
    action: 'stage',
    reason: 'rollout paused: lunch',
  });
  t.like(await b.check(2), {action: 'none', reason: 'rollout paused: lunch'});
  await b.as('operator', 'POST', '/v1/rollouts/all/resume', {});
  t.like(await b.check(2), {action: 'apply'});
  await b.as('operator', 'POST', '/v1/rollouts/all/abort', {});
  t.like(await b.check(1, {staged: '2.0.0', phase: 'staged'}), {action: 'none', version: undefined});
  const again = await b.as('operator', 'POST', '/v1/rollouts/all/resume', {});
  t.deepEqual([again.status, again.body.kind], [409, 'wrong-state']);
  await b.promote('3.0.0');
  t.like(await b.check(1, {staged: '2.0.0', phase: 'staged'}), {action: 'apply', version: '3.0.0'});
});

test('a forgotten machine is refused and counted nowhere', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  await b.check(1);
  t.is((await b.as('operator', 'DELETE', '/v1/machines/m1')).status, 200);
  const refused = await b.machine(1, 'POST', '/v1/check', report({name: 'm1'}));
  t.deepEqual([refused.status, refused.body.kind], [403, 'forgotten']);
  t.is(b.service.fleet.membersOf('all').size, 0);
});

test('a failure that the lock saw counts as the machine itself told it', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('all', {channel: 'stable', selector: {}});
  for (const number of [1, 2]) await b.check(number);
  await b.promote('2.0.0');
  await b.service.recordFailure(uuidOf(1), {version: '2.0.0', reason: 'came back on 1.0.0'});
  await b.service.recordFailure(uuidOf(1), {version: '2.0.0', reason: 'came back on 1.0.0'});
  t.like(await b.check(2), {action: 'none', reason: 'rollout stopped: failed on m1'});
  t.is(b.service.fleet.machines.get(uuidOf(1))?.record.noted?.length, 1);
});

test('events are kept once each, the last of them only, and acknowledged', async t => {
  const b = await bench(t, createMemoryStore());
  await b.as('operator', 'PUT', '/v1/channels/stable', {});
  await b.group('all', {channel: 'stable', selector: {}});
  const event = (sequence: number) => ({sequence, at: '2026-03-02T10:00:00Z', kind: 'staged'});
  t.is((await b.check(1, {events: [event(1), event(2)]})).eventsReceived, 2);
  t.is((await b.check(1, {events: [event(2), event(3)]})).eventsReceived, 3);
  for (let from = 4; from < 200; from += 50)
    await b.check(1, {events: Array.from({length: 50}, (_, index) => event(from + index))});
  const {events} = (await b.as('viewer', 'GET', '/v1/machines/m1/events')).body as unknown as {
    events: {sequence: number}[];
  };
  t.deepEqual([events.length, events[0]?.sequence, events.at(-1)?.sequence], [128, 76, 203]);
});

test('the status of one group holds its machines, rollout and no others', async t => {
  const b = await bench(t, createMemoryStore());
  await withReleases(b);
  await b.group('web', {channel: 'stable'});
  await b.group('db', {channel: 'stable'});
  await b.check(1, {labels: {group: 'web'}});
  await b.check(2, {labels: {group: 'db'}});
  await b.check(3);
  await b.promote('2.0.0');
  const status = async (query: string) => {
    const {body} = await b.as('viewer', 'GET', `/v1/fleet${query}`);
    const {machines, rollouts} = body as unknown as {
      machines: {name: string}[];
      rollouts: {rollout: {group: string}}[];
    };
    return [machines.map(({name}) => name), rollouts.map(({rollout}) => rollout.group)];
  };
  t.deepEqual(await status(''), [
    ['m1', 'm2', 'm3'],
    ['db', 'web'],
  ]);
  t.deepEqual(await status('?group=web'), [['m1'], ['web']]);
});
