import test from 'ava';
import {array, assert, constantFrom, property} from 'fast-check';
import {fingerprintOf, makeBootKeys} from '../../../services/common/rack-crypto.ts';
import {decideBoot} from '../../../services/provisioner/rack/boot.ts';
import {RackError} from '../../../services/provisioner/rack/errors.ts';
import type {RackMachine} from '../../../services/provisioner/rack/record.ts';
import {firstSeen, happen, type Happening} from '../../../services/provisioner/rack/transitions.ts';
import {diskOf, macOf, reportOf, rootHash, uuidOf} from './support.ts';

const boots = [makeBootKeys().keys, makeBootKeys().keys];
const HOUR = 3_600_000;
const kinds = [
  'boot-0',
  'boot-1',
  'approve',
  'approve-other',
  'begin-A',
  'begin-B',
  'begin-old',
  'begin-wrong-disk',
  'config',
  'installed',
  'failed',
  'joined',
  'reinstall',
  'quarantine',
  'release',
] as const;

function happening(kind: (typeof kinds)[number], machine: RackMachine, step: number): Happening {
  const permit = kind === 'begin-old' ? 'old' : (machine.permit?.id ?? 'none');
  const disk = {path: '/dev/vda', serial: 'DISK-1', bytes: diskOf(1).bytes};
  switch (kind) {
    case 'boot-0':
    case 'boot-1':
      return {kind: 'reported', report: reportOf(1, boots[kind === 'boot-0' ? 0 : 1])};
    case 'approve':
    case 'approve-other':
      return {
        kind: 'approved',
        by: 'alice',
        fingerprint: kind === 'approve' ? fingerprintOf(machine.report.keys) : 'another',
        name: 'node-1',
        group: 'all',
        permit: {
          id: `permit-${step}`,
          disk,
          version: '1.0.0',
          rootHash,
          keepData: machine.keepData,
          encryption: 'none',
          expires: (step + 8) * HOUR,
        },
      };
    case 'begin-A':
    case 'begin-B':
    case 'begin-old':
      return {kind: 'begun', permit, request: {attempt: kind, disk}};
    case 'begin-wrong-disk':
      return {kind: 'begun', permit, request: {attempt: kind, disk: {...disk, serial: 'DISK-2'}}};
    case 'config':
      return {kind: 'config-taken', permit};
    case 'installed':
      return {kind: 'installed', permit, detail: ''};
    case 'failed':
      return {kind: 'failed', permit, code: 'write-failed', message: 'it broke', wrote: true};
    case 'joined':
      return {kind: 'joined'};
    case 'reinstall':
      return {kind: 'reinstall', by: 'alice', keepData: true};
    case 'quarantine':
      return {kind: 'quarantine', by: 'alice', reason: 'why not'};
    case 'release':
  }
  return {kind: 'release', by: 'alice'};
}

test('whatever happens in whatever order: a disk is written once per approval, by the boot that was approved', t => {
  let installations = 0;
  assert(
    property(array(constantFrom(...kinds), {minLength: 1, maxLength: 60}), order => {
      let machine = firstSeen(uuidOf(1), reportOf(1, boots[0]), 0);
      const begun = new Map<string, string>();
      let approvals = 0;
      for (const [step, kind] of order.entries()) {
        const before = machine;
        try {
          machine = happen(before, happening(kind, before, step), step * HOUR);
        } catch (error) {
          if (!(error instanceof RackError)) throw error;
          continue;
        }
        if (kind === 'approve') approvals += 1;
        t.not(kind, 'approve-other');
        t.not(kind, 'begin-wrong-disk');
        t.not(kind, 'begin-old');
        if (before.state !== 'installing' && machine.state === 'installing') {
          const {permit} = machine;
          t.is(before.state, 'approved');
          t.is(permit?.fingerprint, fingerprintOf(machine.report.keys));
          t.false(begun.has(permit?.id ?? ''));
          begun.set(permit?.id ?? '', kind);
          installations += 1;
        }
        // The same attempt may ask again, when the answer to its first request was lost; no other one may.
        if (kind.startsWith('begin')) t.is(begun.get(machine.permit?.id ?? ''), kind);
        const told = decideBoot({mac: macOf(1)}, [machine]).kind;
        t.is(told === 'local-disk', machine.state === 'installed' || machine.state === 'joined');
      }
      t.true(begun.size <= approvals);
    }),
    {numRuns: 3000, seed: 6},
  );
  t.true(installations > 100, 'the orders that were drawn do install');
});
