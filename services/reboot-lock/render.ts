/** The table of `hawser lock ls`. Pure. */
import type {LockList} from '../common/contracts/lock.ts';

const HEADER = ['GROUP', 'SLOT', 'MACHINE', 'PHASE', 'FROM', 'TO', 'SINCE', 'DEADLINE', 'FENCE'];

/** One line a held slot; a group that stands still says why below it. */
export function renderLocks({groups}: LockList): string[] {
  const rows = [HEADER];
  const notes: string[] = [];
  for (const {group, slots, halted, holders} of groups) {
    const of = slots === undefined ? '' : `/${slots}`;
    for (const holder of holders) {
      rows.push([
        group,
        `${holder.slot}${of}`,
        holder.name,
        holder.phase,
        holder.from ?? '-',
        holder.to ?? '-',
        holder.since,
        holder.overdue ? `${holder.deadline} PASSED` : holder.deadline,
        holder.fence,
      ]);
    }
    if (holders.length === 0) rows.push([group, `0${of}`, '-', '-', '-', '-', '-', '-', '-']);
    if (halted !== undefined) notes.push(`${group} stands still: ${halted}`);
  }
  const widths = HEADER.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  const table = rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [...table, ...notes];
}
