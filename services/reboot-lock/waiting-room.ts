/**
 * Who asked and was refused lately, in this process's memory: so that a machine which comes just as a slot falls free
 * does not overtake those that ask again and again. Only machines that ask often are waited for: a slot never stands
 * idle for the sake of one that asks once a minute.
 */

/** Milliseconds after its last question in which a machine counts as waiting. */
const PATIENCE_MS = 10_000;

interface Waiting {
  readonly since: number;
  last: number;
}

export interface WaitingRoom {
  /** Notes that `machine` asks. */
  enter(group: string, machine: string, now: Date): void;
  leave(group: string, machine: string): void;
  /**
   * Whether it may have one of `free` slots: it is among the first so many, or in the older half of those who wait. The
   * half keeps slots from standing idle until one certain machine asks again.
   */
  mayGo(group: string, machine: string, free: number, now: Date): boolean;
}

export function createWaitingRoom(): WaitingRoom {
  const groups = new Map<string, Map<string, Waiting>>();
  return {
    enter: (group, machine, now) => {
      const room = groups.get(group) ?? new Map<string, Waiting>();
      groups.set(group, room);
      const known = room.get(machine);
      if (known !== undefined && now.getTime() - known.last <= PATIENCE_MS) known.last = now.getTime();
      else room.set(machine, {since: now.getTime(), last: now.getTime()});
    },
    leave: (group, machine) => void groups.get(group)?.delete(machine),
    mayGo: (group, machine, free, now) => {
      const room = groups.get(group);
      const mine = room?.get(machine);
      if (room === undefined || mine === undefined) return true;
      let waiting = 0;
      let ahead = 0;
      for (const [other, {since, last}] of room) {
        if (now.getTime() - last > PATIENCE_MS) {
          room.delete(other);
          continue;
        }
        waiting++;
        if (since < mine.since) ahead++;
      }
      return ahead < Math.max(free, waiting / 2);
    },
  };
}
