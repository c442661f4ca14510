import * as fc from 'fast-check';
import test from 'ava';
import {parseCron} from '../../services/update-server/cron.ts';
import {checkWindow, isOpen, nextOpening} from '../../services/update-server/windows.ts';

const at = (text: string) => Date.parse(text);
const berlin = {start: '30 2 * * *', minutes: 60, zone: 'Europe/Berlin'};

test('a window is open from its start for its length, in its own zone', t => {
  const night = [{start: '0 22 * * mon-fri', minutes: 240, zone: 'America/New_York'}];
  t.false(isOpen(night, at('2026-03-03T02:59:59Z')));
  t.true(isOpen(night, at('2026-03-03T03:00:00Z')), 'Monday 22:00 in New York');
  t.true(isOpen(night, at('2026-03-03T06:59:59Z')), 'over midnight');
  t.false(isOpen(night, at('2026-03-03T07:00:00Z')));
  t.false(isOpen(night, at('2026-03-08T03:00:00Z')), 'Saturday night');
  t.is(
    nextOpening(night, at('2026-03-07T12:00:00Z')),
    at('2026-03-10T02:00:00Z'),
    'after the clocks went forward',
  );
});

test('a start that daylight saving skips happens as much later as the clock jumped', t => {
  t.is(nextOpening([berlin], at('2026-03-28T12:00:00Z')), at('2026-03-29T01:30:00Z')); // 03:30 CEST
  t.true(isOpen([berlin], at('2026-03-29T01:30:00Z')));
});

test('a start that happens twice counts once, the first time', t => {
  t.is(nextOpening([berlin], at('2026-10-24T12:00:00Z')), at('2026-10-25T00:30:00Z')); // 02:30 CEST
  t.true(isOpen([berlin], at('2026-10-25T01:29:59Z')));
  t.false(isOpen([berlin], at('2026-10-25T01:30:00Z')), '02:30 CET is the second time');
});

test('no windows are always open; a window that never opens is refused', t => {
  t.true(isOpen([], 0));
  t.throws(() => checkWindow({start: '0 0 30 2 *', minutes: 60, zone: 'UTC'}), {code: 'malformed'});
  t.notThrows(() => checkWindow({start: '0 0 29 2 *', minutes: 60, zone: 'UTC'}));
  t.throws(() => checkWindow({start: '0 0 * * *', minutes: 60, zone: 'Mars/Olympus'}), {code: 'malformed'});
});

for (const bad of [
  '* * * *',
  '60 * * * *',
  '* 24 * * *',
  '* * 0 * *',
  '* * * 13 *',
  '5-1 * * * *',
  '*/0 * * * *',
  'x * * * *',
  '1--2 * * * *',
])
  test(`"${bad}" is not a start time`, t => void t.throws(() => parseCron(bad), {code: 'malformed'}));

test('cron: lists, ranges, steps and names; either day field when both are restricted', t => {
  const times = parseCron('*/20 8-10,22 1 jan-mar sun');
  t.deepEqual(times.minutes, [0, 20, 40]);
  t.deepEqual(times.hours, [8, 9, 10, 22]);
  t.true(times.matchesDay(1, 2, 3), 'the first of the month');
  t.true(times.matchesDay(8, 2, 0), 'a Sunday');
  t.false(times.matchesDay(8, 2, 1));
  t.false(times.matchesDay(1, 4, 0), 'April');
  t.true(parseCron('0 0 * * 7').matchesDay(4, 1, 0), '7 is Sunday too');
});

/** What Intl says the wall clock shows. */
function wall(instant: number, zone: string) {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    hour: 'numeric',
    minute: 'numeric',
  });
  const parts = Object.fromEntries(format.formatToParts(instant).map(({type, value}) => [type, value]));
  return {
    hour: Number(parts['hour']),
    minute: Number(parts['minute']),
    weekday: String(parts['weekday']).toLowerCase(),
  };
}

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Pacific/Apia',
];

test('open exactly when Intl shows a start within the length before, away from changes of the clock', t => {
  const minute = 60_000;
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({min: at('2024-01-01T00:00:00Z') / minute, max: at('2030-01-01T00:00:00Z') / minute}),
      fc.integer({min: 0, max: 59}),
      fc.integer({min: 0, max: 23}),
      fc.constantFrom('*', 'mon', 'tue', 'sat', 'sun'),
      fc.integer({min: 1, max: 300}),
      (zone, minutes, startMinute, startHour, weekday, length) => {
        const now = minutes * minute;
        const offset = (instant: number) => {
          const shown = wall(instant, zone);
          return (((shown.hour * 60 + shown.minute - instant / minute) % 1440) + 1440) % 1440;
        };
        fc.pre(new Set([-30, -12, -6, 0, 6, 24].map(hours => offset(now + hours * 60 * minute))).size === 1);
        let expected = false;
        for (let back = 0; back < length; back += 1) {
          const shown = wall(now - back * minute, zone);
          if (shown.hour !== startHour || shown.minute !== startMinute) continue;
          if (weekday === '*' || shown.weekday === weekday) expected = true;
        }
        const window = {start: `${startMinute} ${startHour} * * ${weekday}`, minutes: length, zone};
        t.is(isOpen([window], now), expected);
        const next = nextOpening([window], now);
        t.true(next !== undefined && next >= now && isOpen([window], next));
      },
    ),
    {numRuns: 150},
  );
});
