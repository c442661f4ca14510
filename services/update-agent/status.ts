/** What `hawserctl` shows: lines for people. Pure. */
import type {MachineFacts} from './ports.ts';
import type {AgentRecord} from './record.ts';

export function statusLines(record: AgentRecord, facts: MachineFacts, server: string): string[] {
  const {own, slot, proven, other} = facts;
  const lines = [
    `version   ${own.version} (slot ${slot}${proven ? '' : ', not proven yet'})`,
    `root hash ${own.rootHash}`,
    `server    ${server}`,
    `phase     ${record.phase}`,
  ];
  if (record.waitsFor !== undefined) lines.push(`waits for ${record.waitsFor}`);
  if (record.staged !== undefined) lines.push(`staged    ${record.staged.version}`);
  else if (other !== undefined) lines.push(`other     ${other.version} (hawserctl rollback boots it)`);
  if (record.progress !== undefined) {
    const {bytesFetched, share} = record.progress;
    lines.push(`progress  ${Math.round(share * 100)} %, ${bytesFetched} bytes fetched`);
  }
  if (record.lock !== undefined)
    lines.push(`lock      ${record.lock.fence === undefined ? 'asked for' : 'held'} for ${record.lock.to}`);
  if (record.drained) lines.push('service   drained');
  for (const {version, reason, detail, at} of record.failed) {
    lines.push(`failed    ${version} at ${at}: ${reason}${detail === '' ? '' : ` (${detail})`}`);
  }
  return lines;
}

export function historyLines(record: AgentRecord): string[] {
  return record.history.map(({at, kind, version, detail}) =>
    [at, kind, version ?? '-', detail ?? ''].join('  ').trimEnd(),
  );
}
