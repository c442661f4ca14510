import test from 'ava';
import {decide} from '../../services/update-agent/decide.ts';
import {manifest, policy, rootHashOf} from './support.ts';

const refusal = (...given: Parameters<typeof decide>) => {
  const decision = decide(...given);
  return decision.ok ? 'ok' : decision.refusal;
};

test('upwards, within its range, over no barrier', t => {
  t.is(refusal(manifest('1.1.0'), [], policy()), 'ok');
  t.is(refusal(manifest('2.0.0', {from: '>=1.0.0 <2.0.0'}), [], policy()), 'ok');
  t.is(refusal(manifest('2.0.0', {from: '>=1.5.0'}), [], policy()), 'range');
  t.is(refusal(manifest('2.0.0'), ['1.5.0'], policy()), 'barrier');
  t.is(refusal(manifest('1.5.0'), ['1.5.0'], policy()), 'ok', 'the barrier itself');
  t.is(refusal(manifest('2.0.0'), ['0.5.0', '1.0.0', '2.5.0'], policy()), 'ok', 'behind, or beyond');
  t.is(refusal(manifest('1.1.0-rc.1'), [], policy()), 'ok');
});

test('downwards only with leave: of the signed manifest, or of the operator at the machine', t => {
  t.is(refusal(manifest('0.9.0'), [], policy()), 'downgrade');
  t.is(refusal(manifest('0.9.0', {downgradeFrom: '1.x'}), [], policy()), 'ok');
  t.is(refusal(manifest('0.9.0', {downgradeFrom: '2.x'}), [], policy()), 'downgrade');
  const allowed = policy({operator: {allowDowngrade: true, apply: false}});
  t.deepEqual(decide(manifest('0.9.0'), [], allowed), {ok: true, downgrade: true});
});

test('never what failed here, what runs, or what cannot be told apart', t => {
  const failed = [{version: '1.1.0', rootHash: rootHashOf('1.1.0'), reason: 'unhealthy', detail: '', at: ''}];
  const allowed = policy({failed, operator: {allowDowngrade: true, apply: true}});
  t.is(refusal(manifest('1.1.0'), [], allowed), 'failed-before', 'whoever asks');
  t.is(
    refusal(manifest('1.1.0', {rootHash: 'b'.repeat(64)}), [], allowed),
    'ok',
    'built anew: another release',
  );
  t.is(refusal(manifest('1.0.0'), [], policy()), 'runs-already');
  t.is(refusal(manifest('1.0.0', {rootHash: 'b'.repeat(64)}), [], policy()), 'runs-already');
  t.is(refusal(manifest('1.1.0+7'), [], policy()), 'version-unsupported');
  t.is(refusal(manifest('1.1.0'), [], policy({proven: false})), 'not-proven');
});
