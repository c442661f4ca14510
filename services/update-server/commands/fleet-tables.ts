/** What `hawser fleet` and `hawser rollout` print. */
import type {AuditList} from '../../common/contracts/audit.ts';
import type {FleetStatus, MachineStatus, RolloutSummary, StoredEvent} from '../../common/contracts/policy.ts';
import {ago, renderTable} from './shared.ts';

/** A table, and how to go on when there may be more. */
export function renderAudit({entries, before}: AuditList): string[] {
  const rows = entries.map(({at, by, action, subject, machine = '-', detail = ''}) => [
    at,
    by,
    action,
    subject,
    machine,
    detail,
  ]);
  const lines = renderTable(['TIME', 'BY', 'ACTION', 'SUBJECT', 'MACHINE', 'DETAIL'], rows);
  return before === undefined ? lines : [...lines, '', `older ones: --before ${before}`];
}

const header = [
  'NAME',
  'GROUP',
  'VERSION',
  'SLOT',
  'PHASE',
  'TARGET',
  'WAVE',
  'TURN',
  'LOCK',
  'SEEN',
  'WAITS FOR',
];

/** Tables of machines, rollouts and locks. */
export function renderStatus(status: FleetStatus): string[] {
  const rows = byName(status.machines).map(machine => [
    machine.name,
    machine.group ?? '-',
    machine.version,
    machine.slot,
    phaseOf(machine),
    machine.target ?? '-',
    machine.wave === undefined ? '-' : String(machine.wave),
    machine.turnAt ?? '-',
    machine.holdsLock ? 'held' : '-',
    ago(machine.lastSeen, status.at),
    machine.problem ?? machine.waitsFor,
  ]);
  const lines = renderTable(header, rows);
  if (status.rollouts.length > 0) lines.push('', ...renderRollouts(status.rollouts));
  if (status.locks.length > 0) {
    const names = new Map(status.machines.map(({uuid, name}) => [uuid, name]));
    const locks = status.locks.map(lock => [
      lock.group,
      names.get(lock.machine) ?? lock.machine,
      lock.phase,
      ago(lock.since, status.at),
      lock.overdue ? 'OVERDUE' : (lock.deadline ?? '-'),
    ]);
    lines.push('', ...renderTable(['LOCK', 'HOLDER', 'PHASE', 'FOR', 'DEADLINE'], locks));
  }
  for (const problem of status.problems) lines.push('', `PROBLEM: ${problem}`);
  return lines;
}

/** As people count: web-2 before web-10. The server sends them in no order. */
export function byName(machines: readonly MachineStatus[]): readonly MachineStatus[] {
  const {compare} = new Intl.Collator('en', {numeric: true});
  return machines.toSorted((a, b) => compare(a.name, b.name) || (a.uuid < b.uuid ? -1 : 1));
}

function phaseOf({phase, progress}: MachineStatus): string {
  return phase === 'fetching' && progress !== undefined ? `fetching ${Math.floor(progress * 100)}%` : phase;
}

export function renderRollouts(rollouts: readonly RolloutSummary[]): string[] {
  const rows = rollouts.map(({rollout, waves, machines, done, failed}) => [
    rollout.group,
    rollout.version,
    rollout.state,
    `${waves.filter(({state}) => state !== 'waiting').length}/${waves.length}`,
    `${done}/${machines}`,
    String(failed),
    rollout.reason ?? '',
  ]);
  return renderTable(['ROLLOUT', 'VERSION', 'STATE', 'WAVES', 'DONE', 'FAILED', 'WHY'], rows);
}

export function renderMachine(machine: MachineStatus, events: readonly StoredEvent[]): string[] {
  const labels = Object.entries(machine.labels).map(([name, value]) => `${name}=${value}`);
  const facts: readonly (readonly [string, string])[] = [
    ['name', machine.name],
    ['uuid', machine.uuid],
    ['group', machine.group ?? '-'],
    ['version', `${machine.version} in slot ${machine.slot}`],
    ['phase', `${machine.phase} since ${machine.phaseSince}`],
    ['staged', machine.staged ?? '-'],
    ['target', machine.target ?? '-'],
    ['labels', labels.join(' ')],
    ['waits for', machine.problem ?? machine.waitsFor],
    ['last seen', machine.lastSeen],
    ...machine.failed.map(
      each => ['failed', `${each.version} ${each.reason} ${each.at} ${each.detail}`.trim()] as const,
    ),
  ];
  return [
    ...facts.map(([name, value]) => `${name.padEnd(10)} ${value}`),
    ...events.map(event =>
      `${event.at}  ${event.kind} ${event.version ?? ''} ${event.detail ?? ''}`.trimEnd(),
    ),
  ];
}
