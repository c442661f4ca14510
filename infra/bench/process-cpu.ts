/** CPU seconds of programs that were started for a measurement, from proc(5). */
import {readdirSync, readFileSync} from 'node:fs';

/** USER_HZ, which Linux shows to programs whatever the kernel's own. */
const TICKS_PER_SECOND = 100;

/** User and system time of a process, its children, and those of its children that have ended. */
export function treeCpuSeconds(pid: number): number {
  const own = readStat(pid);
  if (own === undefined) return 0;
  const children = readdirSync('/proc').flatMap(name => {
    const child = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    return child?.parent === pid ? [Number(name)] : [];
  });
  return own.seconds + children.reduce((sum, child) => sum + treeCpuSeconds(child), 0);
}

function readStat(pid: number): {parent: number; seconds: number} | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // Field 2 is the name in parentheses and may hold spaces; 4 is the parent, 14 to 17 are times of it and of its ended children.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return {parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND};
}
