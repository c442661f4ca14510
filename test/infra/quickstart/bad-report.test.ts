import test from 'ava';
import {badRelease, badReleaseShortcomings, renderBadRelease} from '../../../infra/quickstart/bad-report.ts';
import {sampleLoad} from './sample-load.ts';

const failure = {
  version: '0.3.0',
  rootHash: 'ab'.repeat(32),
  reason: 'unhealthy',
  detail: 'docker does not answer',
  at: '2026-01-01T10:05:00Z',
};
const machine = (name: string, version: string, failed: readonly (typeof failure)[]) => ({
  name,
  version,
  failed,
  events: [
    {sequence: 3, at: '2026-01-01T09:00:00Z', kind: 'booted', version: '0.1.0'},
    {sequence: 4, at: '2026-01-01T10:05:00Z', kind: 'fell-back', version: '0.3.0'},
  ],
});
const given = {
  version: '0.3.0',
  good: '0.1.0',
  reason: 'm1 failed',
  load: sampleLoad(),
  since: '2026-01-01T10:00:00Z',
};

test('who tried it, why it went back, and that the others never had it', t => {
  const tried = badRelease({
    ...given,
    machines: [machine('m1', '0.1.0', [failure]), machine('m2', '0.1.0', [{...failure, version: '0.2.0'}])],
  });
  t.like(tried, {triedBy: {m1: 'unhealthy'}, machinesOnGood: 2, requestsSent: 250, requestsFailed: 0});
  t.is(tried.timeline.length, 2, 'events before the promotion are of other releases');
  t.deepEqual(badReleaseShortcomings(tried, 2), []);
  t.true(renderBadRelease(tried).includes('m1 tried it and went back: unhealthy'));
});

test('a release that nobody tried, or two did, or that somebody still runs, has shown nothing', t => {
  const none = badRelease({...given, machines: [machine('m1', '0.1.0', [])]});
  t.deepEqual(badReleaseShortcomings(none, 1), ['0.3.0 was tried by 0 machines, not by one']);
  const two = badRelease({
    ...given,
    machines: [machine('m1', '0.1.0', [failure]), machine('m2', '0.3.0', [failure])],
  });
  t.deepEqual(badReleaseShortcomings(two, 2), [
    '0.3.0 was tried by 2 machines, not by one',
    '1 of 2 machines run the good release',
  ]);
});
