/**
 * Maintenance windows: whether one is open is a function of the window and the time, nothing else. Starts are wall
 * time in the window's zone; a start that daylight saving skips happens as much later as the clock jumped, one that
 * happens twice counts once, the first time (Temporal's disambiguation "compatible"). The length is elapsed time.
 */
import type {MaintenanceWindow} from '../common/contracts/policy.ts';
import {parseCron, type CronTimes} from './cron.ts';
import {ServerError} from './errors.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** How far ahead an opening is looked for: `0 0 29 2 *` is not found in every year. */
const HORIZON_DAYS = 366 * 4 + 2;

/** Throws `malformed` for a window whose start or zone cannot be read, or that never opens. */
export function checkWindow(window: MaintenanceWindow): void {
  cronOf(window.start);
  formatterOf(window.zone);
  if (nextStart(window, 0) === undefined)
    throw new ServerError('malformed', `the window "${window.start}" never opens`);
}

/** Whether any window is open at `now` (ms); without windows always. */
export function isOpen(windows: readonly MaintenanceWindow[], now: number): boolean {
  return windows.length === 0 || windows.some(window => lastStart(window, now) !== undefined);
}

/** When the next window opens (ms): `now` itself when one is open; undefined when none ever does. */
export function nextOpening(windows: readonly MaintenanceWindow[], now: number): number | undefined {
  if (isOpen(windows, now)) return now;
  const starts = windows.map(window => nextStart(window, now)).filter(start => start !== undefined);
  return starts.length === 0 ? undefined : Math.min(...starts);
}

/** The latest start within the window's length before `now`. */
function lastStart(window: MaintenanceWindow, now: number): number | undefined {
  const since = now - window.minutes * MINUTE_MS;
  let found: number | undefined;
  for (const start of startsFrom(window, since - DAY_MS, now)) {
    if (start > since && start <= now && (found === undefined || start > found)) found = start;
  }
  return found;
}

function nextStart(window: MaintenanceWindow, now: number): number | undefined {
  for (const start of startsFrom(window, now - DAY_MS, now + HORIZON_DAYS * DAY_MS)) {
    if (start > now) return start;
  }
  return undefined;
}

/** Starts on each local day that `from`..`to` touches, a day more at either end, day by day. */
function* startsFrom(window: MaintenanceWindow, from: number, to: number): Generator<number> {
  const times = cronOf(window.start);
  const first = Math.floor(from / DAY_MS) - 1;
  const last = Math.floor(to / DAY_MS) + 1;
  for (let day = first; day <= last; day++) {
    const date = new Date(day * DAY_MS);
    if (!times.matchesDay(date.getUTCDate(), date.getUTCMonth() + 1, date.getUTCDay())) continue;
    for (const hour of times.hours) {
      for (const minute of times.minutes)
        yield instantOf(day * DAY_MS + (hour * 60 + minute) * MINUTE_MS, window.zone);
    }
  }
}

/** The instant at which the wall clock of `zone` shows `wall` (a wall time written as if it were UTC). */
function instantOf(wall: number, zone: string): number {
  const before = offsetAt(wall - DAY_MS, zone);
  const after = offsetAt(wall + DAY_MS, zone);
  const early = wall - before;
  if (before === after || offsetAt(early, zone) === before) return early;
  const late = wall - after;
  return offsetAt(late, zone) === after ? late : early;
}

/** Wall time minus UTC in `zone` at an instant, ms. */
function offsetAt(instant: number, zone: string): number {
  const parts: Record<string, number> = {};
  for (const {type, value} of formatterOf(zone).formatToParts(instant)) parts[type] = Number(value);
  const {year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0} = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  let made: Intl.DateTimeFormat;
  try {
    made = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch (error) {
    throw new ServerError('malformed', `"${zone}" is not a time zone`, {
      remedy: 'give an IANA name, for instance Europe/Berlin or UTC',
      cause: error,
    });
  }
  formatters.set(zone, made);
  return made;
}

const crons = new Map<string, CronTimes>();

function cronOf(start: string): CronTimes {
  let times = crons.get(start);
  if (times === undefined) {
    if (crons.size > 4096) crons.clear();
    crons.set(start, (times = parseCron(start)));
  }
  return times;
}
