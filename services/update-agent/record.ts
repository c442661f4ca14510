/**
 * What the machine remembers on disk, in /var, which both slots share: so it outlives a fall-back. Every function makes
 * a new value; one write puts it on the disk (adapters/record-file.ts).
 */
import {Type, type Static} from 'typebox';
import {FailedRelease, MachineEvent, MachinePhase} from '../common/contracts/fleet.ts';
import {Hex64, SemverText} from '../common/contracts/release.ts';

/** As many as a check may carry (contracts/fleet.ts). */
export const maxFailed = 16;
export const maxEvents = 64;
export const maxHistory = 200;

const ReleaseName = Type.Object({version: SemverText, rootHash: Hex64});

export const AgentRecord = Type.Object({
  schema: Type.Literal(1),
  phase: MachinePhase,
  waitsFor: Type.Optional(Type.String()),
  /** The release in the idle slot, written and proven, and its UKI beside the others under a name that cannot boot. */
  staged: Type.Optional(
    Type.Object({
      version: SemverText,
      rootHash: Hex64,
      downgrade: Type.Boolean(),
      source: Type.Union([Type.Literal('fetched'), Type.Literal('slot')]),
    }),
  ),
  fetching: Type.Optional(
    Type.Object({
      version: SemverText,
      attempts: Type.Integer({minimum: 0}),
      damaged: Type.Integer({minimum: 0}),
    }),
  ),
  /** The slot of the reboot lock that is held, or may be: written before it is asked for. */
  lock: Type.Optional(Type.Object({to: SemverText, fence: Type.Optional(Type.String())})),
  /** Out of service, or on the way there. */
  drained: Type.Boolean(),
  /** The reboot into a new release, written before it: what `recover` compares with what runs. */
  trial: Type.Optional(
    Type.Object({
      version: SemverText,
      rootHash: Hex64,
      from: ReleaseName,
      /** `slot`: the operator went back to it; what it replaced is not to come again by itself. */
      source: Type.Union([Type.Literal('fetched'), Type.Literal('slot')]),
      /** The boot in which it was written: in the same one, the reboot has not happened yet. */
      bootId: Type.String(),
      verdict: Type.Optional(Type.Union([Type.Literal('healthy'), Type.Literal('unhealthy')])),
      /** What the checks said, when it was not well. */
      detail: Type.Optional(Type.String()),
      reboots: Type.Integer({minimum: 0}),
      /** How long the gate may take: read by the shell that starts it. */
      gateSeconds: Type.Integer({minimum: 1}),
    }),
  ),
  /** Updates put off in a row by a drain that did not end: each waits longer. */
  putOffs: Type.Integer({minimum: 0}),
  failed: Type.Array(FailedRelease),
  sequence: Type.Integer({minimum: 0}),
  events: Type.Array(MachineEvent),
  history: Type.Array(MachineEvent),
  progress: Type.Optional(Type.Object({bytesFetched: Type.Integer({minimum: 0}), share: Type.Number()})),
  pollSeconds: Type.Optional(Type.Integer({minimum: 5})),
  repositories: Type.Optional(Type.Array(Type.String())),
});
export type AgentRecord = Static<typeof AgentRecord>;

type Changeable =
  | 'staged'
  | 'fetching'
  | 'lock'
  | 'drained'
  | 'trial'
  | 'putOffs'
  | 'progress'
  | 'pollSeconds'
  | 'repositories';
/** Fields to set; `null` takes one away. */
export type RecordChange = {readonly [Field in Changeable]?: AgentRecord[Field] | null};

export function emptyRecord(): AgentRecord {
  return {
    schema: 1,
    phase: 'idle',
    drained: false,
    putOffs: 0,
    failed: [],
    sequence: 0,
    events: [],
    history: [],
  };
}

export function changeRecord(record: AgentRecord, change: RecordChange): AgentRecord {
  const {staged, fetching, lock, trial, progress, repositories, pollSeconds, ...rest} = record;
  return {
    ...rest,
    drained: change.drained ?? record.drained,
    putOffs: change.putOffs ?? record.putOffs,
    ...field('staged', change.staged, staged),
    ...field('fetching', change.fetching, fetching),
    ...field('lock', change.lock, lock),
    ...field('trial', change.trial, trial),
    ...field('progress', change.progress, progress),
    ...field('repositories', change.repositories, repositories),
    ...field('pollSeconds', change.pollSeconds, pollSeconds),
  };
}

function field<Name extends string, Value>(
  name: Name,
  wanted: Value | null | undefined,
  before: Value | undefined,
): {[Key in Name]?: Value} {
  const value = wanted === null ? undefined : (wanted ?? before);
  // A computed key widens to string.
  return (value === undefined ? {} : {[name]: value}) as {[Key in Name]?: Value};
}

/** A release is remembered once, by its root hash: the same version built anew is another release. */
export function addFailed(record: AgentRecord, failed: FailedRelease): AgentRecord {
  if (record.failed.some(one => one.rootHash === failed.rootHash)) return record;
  return {...record, failed: [...record.failed, failed].slice(-maxFailed)};
}

export function addEvent(
  record: AgentRecord,
  event: {readonly kind: string; readonly at: string; readonly version?: string; readonly detail?: string},
): AgentRecord {
  const sequence = record.sequence + 1;
  const full: MachineEvent = {
    sequence,
    at: event.at,
    kind: event.kind,
    ...(event.version === undefined ? {} : {version: event.version}),
    ...(event.detail === undefined ? {} : {detail: event.detail.slice(0, 2048)}),
  };
  return {
    ...record,
    sequence,
    events: [...record.events, full].slice(-maxEvents),
    history: [...record.history, full].slice(-maxHistory),
  };
}

/** Events that the server has are no longer sent; `history` keeps them for `hawserctl`. */
export function dropReceived(record: AgentRecord, received: number): AgentRecord {
  return {...record, events: record.events.filter(event => event.sequence > received)};
}
