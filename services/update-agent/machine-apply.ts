/** From a staged release to the reboot into it: locking, draining, rebooting. Nothing here goes on without the lock. */
import type {Command} from './commands.ts';
import type {ReleaseName, StagedRelease, StateOf} from './states.ts';
import {go, rest, type Row, type Step} from './transition.ts';

export const lockingRow: Row<'locking'> = {
  wake: {to: ['locking'], run: state => go(state, {do: 'checkServer'})},
  'answer-none': {to: ['returning'], run: (state, {detail}) => putOff(state.release, undefined, detail)},
  'answer-stage': {to: ['returning'], run: (state, {detail}) => putOff(state.release, undefined, detail)},
  'answer-apply': {
    to: ['locking', 'returning'],
    run: (state, {version}) =>
      version === state.release.version
        ? go(state, {do: 'refreshMetadata', version})
        : putOff(state.release, undefined, `superseded by ${version}`),
  },
  // Out of service and nobody to ask: back to work, the update waits.
  'server-unreachable': {to: ['locking', 'returning'], run: waitOrPutOff},
  'server-refused': {to: ['locking', 'returning'], run: waitOrPutOff},
  'server-failed': {to: ['locking', 'returning'], run: waitOrPutOff},

  'metadata-verified': {
    to: ['locking', 'returning'],
    run: (state, {release}, policy) =>
      release.rootHash === state.release.rootHash
        ? go(state, {do: 'acquireLock', from: policy.own.version, to: release.version})
        : putOff(state.release, undefined, 'superseded by another build of it'),
  },
  'release-unknown': {to: ['returning'], run: (state, {detail}) => putOff(state.release, undefined, detail)},
  'metadata-unreachable': {to: ['locking', 'returning'], run: waitOrPutOff},
  'metadata-rejected': {to: ['locking', 'returning'], run: waitOrPutOff},

  'lock-granted': {
    to: ['draining'],
    run: (state, {fence}) =>
      go(
        {phase: 'draining', release: state.release, fence},
        // What `healthy` is compared with: as the machine was in service.
        {do: 'takeBaseline'},
        {do: 'remember', change: {lock: {to: state.release.version, fence}, drained: true}},
        {do: 'note', event: 'draining', version: state.release.version},
        {do: 'report', phase: 'draining', lock: {fence, phase: 'draining'}},
        {do: 'drain'},
      ),
  },
  // Denied: somebody else's turn. Nothing is held.
  'lock-refused': {
    to: ['locking', 'returning'],
    run: (state, {refusal, detail}) =>
      state.drained
        ? putOff(state.release, undefined, detail)
        : go(
            state,
            {do: 'remember', change: {lock: null}},
            {do: 'rest', wake: 'retry', waitsFor: `the reboot lock (${refusal}): ${detail}`},
          ),
  },
  // No answer is not a grant. Perhaps the slot was taken: the record keeps that.
  'lock-unreachable': {to: ['locking', 'returning'], run: waitOrPutOff},
  'lock-failed': {to: ['locking', 'returning'], run: waitOrPutOff},
};

export const drainingRow: Row<'draining'> = {
  drained: {to: ['draining'], run: state => go(state, {do: 'confirmLock', fence: state.fence})},
  'drain-blocked': {
    to: ['draining', 'returning'],
    run: (state, {detail}, policy) =>
      policy.onDrainTimeout === 'force'
        ? go(
            state,
            {do: 'note', event: 'drain-forced', version: state.release.version, detail},
            {do: 'confirmLock', fence: state.fence},
          )
        : putOff(state.release, state.fence, `the drain is blocked: ${detail}`),
  },
  'drain-failed': {
    to: ['returning'],
    run: (state, {detail}) => putOff(state.release, state.fence, `the drain failed: ${detail}`),
  },
  // The fence is looked at last of all, with the machine out of service: a stale holder stops here.
  'lock-confirmed': {
    to: ['rebooting'],
    run: (state, _event, policy) => {
      const {release, fence} = state;
      return go(
        {phase: 'rebooting', release, fence},
        {do: 'remember', change: {trial: trial(release, policy.own)}},
        {do: 'note', event: 'rebooting', version: release.version},
        {do: 'report', phase: 'rebooting'},
        {do: 'arm', release},
      );
    },
  },
  'lock-lost': {to: ['returning'], run: (state, {detail}) => putOff(state.release, state.fence, detail)},
  'lock-unreachable': {
    to: ['returning'],
    run: (state, {detail}) => putOff(state.release, state.fence, detail),
  },
  'lock-failed': {to: ['returning'], run: (state, {detail}) => putOff(state.release, state.fence, detail)},
};

export const rebootingRow: Row<'rebooting'> = {
  armed: {to: ['rebooting'], run: state => go(state, {do: 'reboot'})},
  'arm-failed': {
    to: ['returning'],
    run: (state, {detail}) =>
      putOff(state.release, state.fence, `the release cannot be made bootable: ${detail}`),
  },
  'reboot-requested': {
    to: ['rebooting'],
    run: state => go(state, {do: 'rest', wake: 'never', waitsFor: 'the reboot'}),
  },
  'reboot-failed': {
    to: ['returning'],
    run: (state, {detail}) => putOff(state.release, state.fence, `no reboot: ${detail}`),
  },
};

function waitOrPutOff(state: StateOf<'locking'>, {detail}: {readonly detail: string}): Step {
  return state.drained ? putOff(state.release, undefined, detail) : rest(state, 'retry', detail);
}

/** Back into service on the release that runs; the staged one stays for the next time. */
function putOff(release: StagedRelease, fence: string | undefined, detail: string): Step {
  const commands: readonly Command[] = [
    {do: 'note', event: 'put-off', version: release.version, detail},
    {do: 'disarm', release},
    {do: 'remember', change: {trial: null}},
    {do: 'returnToService'},
  ];
  return go(
    {
      phase: 'returning',
      outcome: 'put-off',
      version: release.version,
      ...(fence === undefined ? {} : {fence}),
    },
    ...commands,
  );
}

/** `bootId` and `gateSeconds` are facts that the runner fills in as it writes. */
function trial(release: StagedRelease, from: ReleaseName) {
  const {version, rootHash, source} = release;
  return {version, rootHash, source, from, bootId: '', reboots: 0, gateSeconds: 1};
}
