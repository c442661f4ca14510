import test from 'ava';
import type {LoadReport} from '../../../infra/quickstart/load-count.ts';
import {renderRollingUpdate, rollingUpdate, shortcomings} from '../../../infra/quickstart/rolling-report.ts';
import {sampleLoad} from './sample-load.ts';

const machine = (name: string, version: string, minute: number) => ({
  name,
  version,
  bytesFetched: 3_000_000,
  events: [
    {sequence: 1, at: '2026-01-01T09:00:00Z', kind: 'booted', version: '0.1.0'},
    {sequence: 7, at: `2026-01-01T10:0${minute}:00Z`, kind: 'fetched', version: '0.2.0'},
    {sequence: 8, at: `2026-01-01T10:0${minute}:30.5Z`, kind: 'returned'},
  ],
});

const given = {
  from: '0.1.0',
  to: '0.2.0',
  fullImageBytes: 200_000_000,
  machines: [machine('m2', '0.2.0', 3), machine('m1', '0.2.0', 1)],
  since: '2026-01-01T10:00:00Z',
};

test('what was counted and what was told, in the fields that the report has', t => {
  const update = rollingUpdate({...given, load: sampleLoad()});
  t.like(update, {
    requestsSent: 250,
    requestsFailed: 0,
    machinesUpdated: 2,
    bytesFetchedPerMachine: {m1: 3_000_000, m2: 3_000_000},
    fullImageBytes: 200_000_000,
    secondsPerMachine: {m1: 30.5, m2: 30.5},
  });
  t.deepEqual(
    update.timeline.map(({machine, what}) => `${machine} ${what}`),
    ['m1 fetched 0.2.0', 'm1 returned', 'm2 fetched 0.2.0', 'm2 returned'],
  );
  t.deepEqual(shortcomings(update, 2), []);
  t.true(renderRollingUpdate(update).includes('m1: 3.0 MB fetched (1.5% of 200.0 MB), 30.5 s'));
});

test('no failures are worth nothing when the load was not what it should be', t => {
  const short = (report: LoadReport) => shortcomings(rollingUpdate({...given, load: report}), 2);
  t.deepEqual(short({...sampleLoad(), seconds: 100}), ['fewer than 20 requests a second were sent']);
  t.deepEqual(short({...sampleLoad(), slowSucceeded: 0}), ['no slow answer came']);
  t.deepEqual(short({...sampleLoad(), onKeptConnections: 0}), ['one kind of connection was not used']);
  const failed = sampleLoad(count =>
    count.fail(1, {path: '/', connection: 'new', slow: false}, 'refused', 'x'),
  );
  t.deepEqual(short(failed), ['1 requests failed']);
  t.true(
    renderRollingUpdate(rollingUpdate({...given, load: failed})).some(line =>
      line.startsWith('failed after 0.0 s: refused /'),
    ),
  );
});

test('a machine that did not move is not counted, and has no time', t => {
  const update = rollingUpdate({
    ...given,
    machines: [machine('m1', '0.2.0', 1), machine('m2', '0.1.0', 2)],
    load: sampleLoad(),
  });
  t.is(update.machinesUpdated, 1);
  t.deepEqual(Object.keys(update.secondsPerMachine), ['m1']);
  t.deepEqual(shortcomings(update, 2), ['1 of 2 machines run 0.2.0']);
});
