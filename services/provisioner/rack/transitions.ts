/**
 * The life of a machine as a table: what may happen in which state, and what it makes of it. Every disk that is ever
 * written was written between `begin`, which burns the one permit there is, and `installed` or `failed`. Pure.
 */
import type {BeginRequest, InstallFailure, RackReport, RackState} from '../../common/contracts/rack.ts';
import {fingerprintOf} from '../../common/rack-crypto.ts';
import {isPermitted} from './disks.ts';
import {RackError} from './errors.ts';
import {MAX_EVENTS, type RackMachine, type StoredPermit} from './record.ts';

export type Happening =
  | {readonly kind: 'reported'; readonly report: RackReport}
  | {
      readonly kind: 'approved';
      readonly by: string;
      /** Must be that of the keys in the last report. */
      readonly fingerprint: string;
      readonly name: string;
      readonly group: string;
      readonly permit: Omit<StoredPermit, 'generation' | 'fingerprint' | 'configTaken' | 'begun'>;
    }
  | {readonly kind: 'begun'; readonly permit: string; readonly request: BeginRequest}
  | {readonly kind: 'config-taken'; readonly permit: string}
  | {readonly kind: 'installed'; readonly permit: string; readonly detail: string}
  | {
      readonly kind: 'failed';
      readonly permit: string;
      readonly code: InstallFailure;
      readonly message: string;
      readonly wrote: boolean;
    }
  | {readonly kind: 'joined'}
  | {readonly kind: 'reinstall'; readonly by: string; readonly keepData: boolean}
  | {readonly kind: 'quarantine'; readonly by: string; readonly reason: string}
  | {readonly kind: 'release'; readonly by: string}
  | {readonly kind: 'labelled'; readonly by: string; readonly labels: Readonly<Record<string, string>>};

type Kind = Happening['kind'];

/** In which states something may happen at all. What it leads to: {@link happen}. */
export const allowed: Readonly<Record<Kind, readonly RackState[]>> = {
  reported: ['seen', 'approved', 'installing', 'installed', 'joined', 'quarantined'],
  approved: ['seen'],
  begun: ['approved', 'installing'],
  'config-taken': ['approved', 'installing', 'installed'],
  installed: ['installing', 'installed', 'joined'],
  failed: ['approved', 'installing', 'quarantined'],
  joined: ['installed', 'joined'],
  reinstall: ['installed', 'joined', 'quarantined'],
  quarantine: ['seen', 'approved', 'installing', 'installed', 'joined', 'quarantined'],
  release: ['quarantined'],
  labelled: ['seen', 'approved', 'installing', 'installed', 'joined', 'quarantined'],
};

/** A machine nobody has heard of before. */
export function firstSeen(machine: string, report: RackReport, at: number): RackMachine {
  const fresh: RackMachine = {
    schema: 1,
    machine,
    state: 'seen',
    labels: {},
    report,
    reportedAt: at,
    generation: 0,
    keepData: false,
    events: [],
  };
  return noted(fresh, at, 'seen', 'machine', fingerprintOf(report.keys));
}

/**
 * The machine afterwards; the same value when nothing changes. Throws `wrong-state`, `wrong-fingerprint`, `permit-used`,
 * `permit-void` or `wrong-disk`; nothing has changed then.
 */
export function happen(machine: RackMachine, what: Happening, at: number): RackMachine {
  if (!allowed[what.kind].includes(machine.state)) throw notIn(machine, what.kind);
  switch (what.kind) {
    case 'reported':
      return reported(machine, what.report, at);
    case 'approved':
      return approve(machine, what, at);
    case 'begun':
      return begin(machine, what, at);
    case 'config-taken': {
      const permit = permitOf(machine, what.permit);
      if (permit.configTaken)
        throw new RackError('token-burned', 'the config was fetched with this token before');
      return {...machine, permit: {...permit, configTaken: true}};
    }
    case 'installed':
      permitOf(machine, what.permit);
      return machine.state === 'installing'
        ? noted({...machine, state: 'installed'}, at, 'installed', 'machine', what.detail)
        : machine;
    case 'failed': {
      if (machine.state === 'quarantined') return machine;
      permitOf(machine, what.permit);
      const touched = what.wrote ? 'its disk was written to' : 'nothing was written';
      return quarantined(machine, at, 'machine', `${what.message} (${what.code}; ${touched})`);
    }
    case 'joined':
      return machine.state === 'joined'
        ? machine
        : noted({...machine, state: 'joined'}, at, 'joined', 'machine', '');
    case 'reinstall':
      return noted(
        {...backToSeen(machine), keepData: what.keepData},
        at,
        'reinstall',
        what.by,
        what.keepData ? 'its data is kept' : 'its disk is to be wiped',
      );
    case 'quarantine':
      return quarantined(machine, at, what.by, what.reason);
    case 'release':
      return noted(backToSeen(machine), at, 'released', what.by, machine.reason ?? '');
    case 'labelled':
  }
  return noted({...machine, labels: {...what.labels}}, at, 'labelled', what.by, JSON.stringify(what.labels));
}

/** An approval is for the keys of one boot; other keys are another boot, or another machine that says it is this one. */
function reported(machine: RackMachine, report: RackReport, at: number): RackMachine {
  const next = {...machine, report, reportedAt: at};
  const [before, now] = [fingerprintOf(machine.report.keys), fingerprintOf(report.keys)];
  if (before === now) return next;
  if (machine.state === 'approved')
    return noted(backToSeen(next), at, 'approval-void', 'machine', `booted anew with the keys ${now}`);
  if (machine.state === 'installing')
    return quarantined(
      next,
      at,
      'machine',
      'booted anew in the middle of its installation: its disk is not whole',
    );
  return noted(next, at, 'booted', 'machine', now);
}

function approve(
  machine: RackMachine,
  what: Extract<Happening, {kind: 'approved'}>,
  at: number,
): RackMachine {
  const fingerprint = fingerprintOf(machine.report.keys);
  if (what.fingerprint !== fingerprint)
    throw new RackError('wrong-fingerprint', `the machine's keys have the fingerprint ${fingerprint}`, {
      remedy: 'compare it with the one on the console of the machine itself',
    });
  const generation = machine.generation + 1;
  const permit: StoredPermit = {...what.permit, fingerprint, generation, configTaken: false};
  const {serial, wwn, path} = permit.disk;
  return noted(
    {...machine, state: 'approved', name: what.name, group: what.group, generation, permit},
    at,
    'approved',
    what.by,
    `permit ${permit.id} for disk ${serial ?? wwn ?? path}, version ${permit.version}`,
  );
}

function begin(machine: RackMachine, what: Extract<Happening, {kind: 'begun'}>, at: number): RackMachine {
  const permit = permitOf(machine, what.permit);
  const {attempt, disk} = what.request;
  if (permit.begun !== undefined) {
    if (permit.begun.attempt === attempt) return machine;
    throw new RackError('permit-used', 'this permit was used before');
  }
  if (permit.fingerprint !== fingerprintOf(machine.report.keys) || at >= permit.expires)
    throw new RackError('permit-void', 'this permit has expired');
  if (!isPermitted(permit.disk, disk))
    throw new RackError('wrong-disk', `the permit is not for ${disk.serial ?? disk.wwn ?? disk.path}`);
  return noted(
    {...machine, state: 'installing', permit: {...permit, begun: {attempt, at}}},
    at,
    'installing',
    'machine',
    `writes ${disk.path}`,
  );
}

function permitOf(machine: RackMachine, id: string): StoredPermit {
  if (machine.permit?.id === id) return machine.permit;
  throw new RackError('permit-void', 'this permit is not valid any more');
}

/** Without a permit: whatever comes next needs a fresh approval. */
function backToSeen({permit: _permit, reason: _reason, ...rest}: RackMachine): RackMachine {
  return {...rest, state: 'seen'};
}

function quarantined(machine: RackMachine, at: number, by: string, reason: string): RackMachine {
  const next: RackMachine = {...backToSeen(machine), state: 'quarantined', reason: reason.slice(0, 512)};
  return noted(next, at, 'quarantined', by, reason);
}

function noted(machine: RackMachine, at: number, kind: string, by: string, detail: string): RackMachine {
  return {...machine, events: [...machine.events, {at, kind, by, detail}].slice(-MAX_EVENTS)};
}

function notIn(machine: RackMachine, kind: Kind): RackError {
  const who = machine.name ?? machine.machine;
  // To a machine whose time has passed this is the end of its permit, to an operator a mistake.
  if (['begun', 'config-taken', 'installed', 'failed'].includes(kind))
    return new RackError('permit-void', `${who} is ${machine.state}: this permit is not valid any more`);
  return new RackError('wrong-state', `${who} is ${machine.state}`, {
    remedy: `this can be done while it is ${allowed[kind].join(' or ')}`,
  });
}
