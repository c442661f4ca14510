/** Lines for the journal: a level, a static message, data as fields. */
import {describeError} from '../common/errors.ts';
import type {AgentLog} from './ports.ts';

/** systemd reads `<3>` and its kin as levels (sd-daemon(3)). */
export function journalLog(write: (line: string) => void): AgentLog {
  const say = (level: number) => (fields: object, message: string) => {
    const data = Object.entries(fields).map(([name, value]: [string, unknown]) =>
      value instanceof Error ? `${name}="${describeError(value)}"` : `${name}=${JSON.stringify(value)}`,
    );
    write(`<${level}>${[message, ...data].join(' ')}`);
  };
  return {info: say(6), warn: say(4), error: say(3)};
}
