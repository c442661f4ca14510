/** What a machine's report changes in what is kept of it. Pure. */
import type {CheckRequest, MachineEvent} from '../common/contracts/fleet.ts';
import {STATE_SCHEMA, type MachineRecord} from '../common/contracts/policy.ts';
import {isAway} from './standing.ts';

/** `lastSeen` in etcd is as old as this at most, so that polls which say nothing new are not written. */
export const SEEN_SECONDS = 600;
/** Events kept of each machine. */
export const MAX_EVENTS = 128;

export interface Merged {
  readonly record: MachineRecord;
  /** Not in the store yet. */
  readonly events: readonly MachineEvent[];
  /** Whether it has to be written: something new beyond having been seen a moment ago. */
  readonly changed: boolean;
}

/** Joins a report with what was known. `name` is the certificate's, `now` RFC 3339. */
export function mergeReport(
  before: MachineRecord | undefined,
  machine: {readonly uuid: string; readonly name: string},
  request: CheckRequest,
  now: string,
): Merged {
  const report = pickReport(request, machine.name);
  const received = before?.eventsReceived ?? 0;
  const fresh = request.events
    .filter(event => event.sequence > received)
    .sort((a, b) => a.sequence - b.sequence);
  const newest = fresh.at(-1)?.sequence ?? received;
  const updating = updatingOf(before, request, now);
  const noted = before?.noted?.filter(({version}) => version !== request.version);
  const record: MachineRecord = {
    schema: STATE_SCHEMA,
    uuid: machine.uuid,
    firstSeen: before?.firstSeen ?? now,
    lastSeen: now,
    report,
    phaseSince: before !== undefined && before.report.phase === report.phase ? before.phaseSince : now,
    ...(updating === undefined ? {} : {updating}),
    ...(noted === undefined || noted.length === 0 ? {} : {noted}),
    eventsReceived: newest,
  };
  return {
    record,
    events: fresh.filter(event => event.sequence > newest - MAX_EVENTS),
    changed: before === undefined || fresh.length > 0 || isNews(before, record),
  };
}

function pickReport(request: CheckRequest, name: string): MachineRecord['report'] {
  // Field by field: what a newer agent sends besides is ignored, not kept.
  const {version, rootHash, slot, bootId, phase, staged, failed, waitsFor, progress, healthy} = request;
  return {
    name,
    version,
    rootHash,
    slot,
    bootId,
    phase,
    ...(staged === undefined ? {} : {staged}),
    labels: request.labels,
    failed: failed.map(each => ({
      version: each.version,
      rootHash: each.rootHash,
      reason: each.reason,
      detail: each.detail,
      at: each.at,
    })),
    ...(waitsFor === undefined ? {} : {waitsFor}),
    ...(progress === undefined
      ? {}
      : {progress: {bytesFetched: progress.bytesFetched, share: progress.share}}),
    ...(healthy === undefined ? {} : {healthy}),
  };
}

function updatingOf(
  before: MachineRecord | undefined,
  request: CheckRequest,
  now: string,
): MachineRecord['updating'] {
  if (!isAway(request.phase)) return undefined;
  // After the reboot the new release runs and nothing is staged; the goal is the one it set out with.
  const to = before?.updating?.to ?? request.staged ?? request.version;
  return {to, since: before?.updating?.since ?? now};
}

function isNews(before: MachineRecord, after: MachineRecord): boolean {
  if (Date.parse(after.lastSeen) - Date.parse(before.lastSeen) >= SEEN_SECONDS * 1000) return true;
  return fingerprint(before) !== fingerprint(after);
}

/**
 * What is worth a write: progress in steps of a tenth. What a machine waits for too, but while it waits for the lock its
 * words name the holders, who change with every question: there the part before the colon counts.
 */
function fingerprint({report, updating, noted}: MachineRecord): string {
  const {progress, waitsFor, ...rest} = report;
  return JSON.stringify([
    rest,
    report.phase === 'locking' ? waitsFor?.split(':', 1) : waitsFor,
    updating,
    noted,
    progress === undefined ? null : Math.floor(progress.share * 10),
  ]);
}

/** The record with a failure that others told of; the same one twice is one. */
export function noteFailure(
  record: MachineRecord,
  failure: {readonly version: string; readonly reason: string},
  now: string,
): MachineRecord {
  const noted = record.noted ?? [];
  if (noted.some(({version}) => version === failure.version)) return record;
  return {...record, noted: [...noted.slice(-15), {...failure, at: now}]};
}
