import test from 'ava';
import {
  emptyRecord,
  addFailed,
  addEvent,
  changeRecord,
  dropReceived,
  maxEvents,
  maxFailed,
  type AgentRecord,
} from '../../services/update-agent/record.ts';
import {recover, type RunningFacts} from '../../services/update-agent/recover.ts';
import {rootHashOf} from './support.ts';

const old = {version: '1.0.0', rootHash: rootHashOf('1.0.0')};
const fresh = {version: '1.1.0', rootHash: rootHashOf('1.1.0')};
const staged = {...fresh, downgrade: false, source: 'fetched'} as const;
const trial = {
  ...fresh,
  source: 'fetched',
  from: old,
  bootId: 'before',
  reboots: 0,
  gateSeconds: 300,
} as const;
const facts: RunningFacts = {own: old, bootId: 'after', trialEntry: 'gone'};
const lock = {to: '1.1.0', fence: '7'};

function from(record: Partial<AgentRecord>, over: Partial<RunningFacts> = {}) {
  return recover({...emptyRecord(), ...record}, {...facts, ...over}, '2026-11-24T00:00:00Z');
}

test('nothing written down: idle', t => {
  t.deepEqual(from({}), {phase: 'idle'});
});

test('the record says that X was tried, and the old one runs: a fall-back, with its reason', t => {
  const tried = {trial, staged, lock, drained: true};
  t.like(from(tried, {trialEntry: 'exhausted'}), {
    phase: 'fell-back',
    fence: '7',
    failed: {...fresh, reason: 'did-not-boot', detail: 'no boot of it reached its health checks'},
  });
  for (const trialEntry of ['gone', 'tried', 'untried', 'good'] as const)
    t.like(from(tried, {trialEntry}), {phase: 'fell-back', failed: {reason: 'did-not-boot'}}, trialEntry);
  const judged = {...tried, trial: {...trial, verdict: 'unhealthy', detail: 'app.service'} as const};
  t.like(from(judged, {trialEntry: 'exhausted'}), {failed: {reason: 'unhealthy', detail: 'app.service'}});
});

test('what was never bootable did not fail', t => {
  t.like(from({trial, staged, lock, drained: true}, {trialEntry: 'unarmed'}), {
    phase: 'locking',
    drained: true,
  });
});

test('in the boot in which the trial was written, the reboot has not happened', t => {
  t.like(from({trial, staged, lock, drained: true}, {bootId: 'before', trialEntry: 'untried'}), {
    phase: 'locking',
  });
});

test('the new release runs: proving, until the record says what came of it', t => {
  t.deepEqual(from({trial, staged, lock, drained: true}, {own: fresh}), {
    phase: 'proving',
    release: fresh,
    fence: '7',
    reboots: 0,
  });
  t.like(from({trial: {...trial, verdict: 'healthy'}, staged, lock}, {own: fresh}), {verdict: 'healthy'});
  t.like(from({trial: {...trial, source: 'slot'}}, {own: fresh}), {replaced: old});
});

test('cut off while it held the lock: it goes on asking, or goes back into service', t => {
  t.like(from({staged, lock: {to: '1.1.0'}}), {phase: 'locking', drained: false});
  t.like(from({lock, drained: true}), {phase: 'returning', outcome: 'put-off', fence: '7'});
  t.like(from({drained: true}), {phase: 'returning'});
  t.like(
    from({lock, drained: true}, {own: fresh}),
    {phase: 'returning', outcome: 'updated', fence: '7'},
    'blessed, and cut off before it was back in service',
  );
  t.like(from({staged}, {own: fresh}), {phase: 'idle'}, 'staged, and runs already');
});

test('a fetch is resumed with its counters', t => {
  const fetching = {version: '1.1.0', attempts: 4, damaged: 1};
  t.deepEqual(from({fetching}), {phase: 'fetching', ...fetching});
});

test('what is remembered is bounded, and changes leave the rest alone', t => {
  let record = emptyRecord();
  for (let count = 0; count < 100; count += 1) {
    record = addEvent(record, {kind: 'staged', at: ''});
    const failed = {
      version: `1.0.${count}`,
      rootHash: rootHashOf(`1.0.${count}`),
      reason: 'unhealthy',
      detail: '',
      at: '',
    };
    record = addFailed(addFailed(record, failed), failed);
  }
  t.is(record.events.length, maxEvents);
  t.is(record.failed.length, maxFailed);
  t.is(record.sequence, 100);
  t.deepEqual(
    dropReceived(record, 98).events.map(event => event.sequence),
    [99, 100],
  );
  const held = changeRecord(record, {lock, drained: true});
  t.deepEqual(changeRecord(held, {lock: null}), {...record, drained: true});
});
