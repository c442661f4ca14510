import test from 'ava';
import {array, assert, integer, property} from 'fast-check';
import {parseProbe} from '../../infra/bench/guest-probe.ts';
import {dockerAnswers} from '../../infra/bench/marker.ts';
import {parseOptions} from '../../infra/bench/options.ts';
import {renderTable, rows, type Results} from '../../infra/bench/report.ts';
import {median, ratio} from '../../infra/bench/statistics.ts';
import type {Round} from '../../infra/bench/boot.ts';

const answer = [
  'usedKiB 204800',
  'pssKiB 102400',
  'processes 20',
  'contextSwitches 3000',
  'interrupts 1500',
  'windowSeconds 30',
  'servicesStarted 25',
  'unitsActive 90',
];

test('median: as many values lie below it as above, in whatever order they come', t => {
  assert(
    property(array(integer({min: -1000, max: 1000}), {minLength: 1}), values => {
      const middle = median(values) ?? Number.NaN;
      t.is(values.filter(value => value < middle).length <= values.length / 2, true);
      t.is(values.filter(value => value > middle).length <= values.length / 2, true);
      t.is(median(values.toReversed()), middle);
    }),
  );
  t.is(median([]), undefined);
  t.is(median([1, 4]), 2.5);
});

test('ratio: unknown or zero on one side gives no number', t => {
  t.is(ratio(1, 2), 0.5);
  t.is(ratio(undefined, 2), undefined);
  t.is(ratio(1, undefined), undefined);
  t.is(ratio(1, 0), undefined);
});

test('probe: every figure is read, noise of the log-in is passed over', t => {
  const facts = parseProbe(['Linux bench 6.12', '', ...answer].join('\r\n'));
  t.is(facts.usedKiB, 204800);
  t.is(facts.unitsActive, 90);
});

test('probe: a missing figure is an error and not a zero', t => {
  for (const line of answer) {
    const error = t.throws(() => parseProbe(answer.filter(other => other !== line).join('\n')));
    t.regex(error.message, /the answer of the guest/);
  }
});

test('marker: only a version behind it counts', t => {
  t.regex('[   30.1] sh[900]: BENCH-DOCKER-ANSWERS 26.1.5', dockerAnswers);
  t.notRegex('BENCH-DOCKER-ANSWERS ', dockerAnswers);
  t.notRegex('echo BENCH-DOCKER-ANSWERS $v', dockerAnswers);
});

test('options: defaults, and one line that names what is wrong', t => {
  t.like(parseOptions([]), {boots: 3, cold: false, minutes: 90});
  t.deepEqual(parseOptions(['--only', 'size,boot']).parts, ['boot', 'size']);
  t.throws(() => parseOptions(['--only', 'boots']), {message: /--only boots/});
  t.throws(() => parseOptions(['--boots', '0']), {message: /--boots 0/});
});

test('table: medians of all rounds, their ratio, and no line for what was not measured', t => {
  const round = (cpuSeconds: number): Round => {
    const figures = {
      banner: {cpuSeconds, wallSeconds: 1},
      docker: {cpuSeconds: cpuSeconds * 2, wallSeconds: 2},
    };
    return {first: figures, second: figures, idle: {...parseProbe(answer.join('\n')), cpuSeconds: 3}};
  };
  const results: Results = {
    hawser: {rounds: [round(10), round(30), round(20)], sizes: undefined},
    debian: {rounds: [round(40)], sizes: undefined},
    rebuildSeconds: undefined,
    coldBuildSeconds: undefined,
    helpSeconds: [],
  };
  const docker = rows(results).find(
    ({what, unit}) => what === 'first boot: Docker answers' && unit === 'CPU s',
  );
  t.like(docker, {hawser: 40, debian: 80, ratio: 0.5});
  const table = renderTable(results).join('\n');
  t.regex(table, /first boot: Docker answers, CPU s +40\.0 +80\.0 +0\.50/);
  t.notRegex(table, /compressed|hawser --help/);
  t.deepEqual(
    renderTable({...results, hawser: {rounds: [], sizes: undefined}, debian: {rounds: [], sizes: undefined}}),
    [],
  );
});
