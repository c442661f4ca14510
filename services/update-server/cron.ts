/** Five cron fields, read once into sets. Pure. */
import {ServerError} from './errors.ts';

export interface CronTimes {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Whether a day (1..31, month 1..12, weekday 0..6 from Sunday) has starts. */
  matchesDay(day: number, month: number, weekday: number): boolean;
}

interface Field {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  readonly words?: readonly string[];
}

const FIELDS = [
  {name: 'minute', least: 0, most: 59},
  {name: 'hour', least: 0, most: 23},
  {name: 'day of month', least: 1, most: 31},
  {
    name: 'month',
    least: 1,
    most: 12,
    words: ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  {name: 'day of week', least: 0, most: 7, words: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']},
] as const satisfies readonly Field[];

/**
 * Reads `minute hour day-of-month month day-of-week` with lists, ranges, steps and English names. As in cron, a day
 * matches either day field when both are restricted. Throws `malformed`.
 */
export function parseCron(text: string): CronTimes {
  const words = text.trim().split(/\s+/);
  if (words.length !== FIELDS.length) {
    throw malformed(text, `it has ${words.length} fields, not ${FIELDS.length}`);
  }
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) =>
    parseField(text, words[index] ?? '', field),
  ) as [number[], number[], number[], number[], number[]];
  const dayFree = words[2] === '*';
  const weekdayFree = words[4] === '*';
  const weekdaySet = new Set(weekdays.map(day => day % 7));
  const [daySet, monthSet] = [new Set(days), new Set(months)];
  return {
    minutes,
    hours,
    matchesDay: (day, month, weekday) => {
      if (!monthSet.has(month)) return false;
      if (dayFree || weekdayFree) return daySet.has(day) && weekdaySet.has(weekday);
      return daySet.has(day) || weekdaySet.has(weekday);
    },
  };
}

function parseField(text: string, word: string, field: Field): number[] {
  const values = new Set<number>();
  for (const part of word.split(',')) {
    const [, range = '', step = '1'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(part) ?? [];
    if (range === '' || Number(step) < 1) throw malformed(text, `"${part}" is not a ${field.name}`);
    const [first, last] = range === '*' ? [field.least, field.most] : parseRange(text, range, field, part);
    for (let value = first; value <= last; value += Number(step)) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function parseRange(text: string, range: string, field: Field, part: string): [number, number] {
  const [from = '', to] = range.split('-');
  const first = parseNumber(from, field);
  // `5/10` means from 5 to the end, in steps of 10; `5` means 5.
  const last = to === undefined ? (part.includes('/') ? field.most : first) : parseNumber(to, field);
  if (first === undefined || last === undefined || first > last || range.split('-').length > 2) {
    throw malformed(text, `"${part}" is not a ${field.name} (${field.least} to ${field.most})`);
  }
  return [first, last];
}

function parseNumber(text: string, field: Field): number | undefined {
  const word = field.words?.indexOf(text.toLowerCase()) ?? -1;
  if (text !== '' && word >= field.least) return word;
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= field.least && value <= field.most ? value : undefined;
}

function malformed(text: string, why: string): ServerError {
  return new ServerError('malformed', `"${text}" is not a start time: ${why}`, {
    remedy: 'write minute, hour, day of month, month, day of week, for instance 0 2 * * mon-fri',
  });
}
