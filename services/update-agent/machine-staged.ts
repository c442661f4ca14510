/** A release waits in the idle slot for its turn, and may be taken back until then. */
import {decide} from './decide.ts';
import type {StateOf} from './states.ts';
import {go, rest, type Row, type Step} from './transition.ts';

export const stagedRow: Row<'staged'> = {
  wake: {to: ['staged'], run: state => go(state, {do: 'checkServer'})},
  'answer-none': {to: ['staged', 'idle'], run: (state, {detail}) => drop(state, `withdrawn: ${detail}`)},
  'answer-stage': {
    to: ['staged', 'idle'],
    run: (state, {version, detail}) =>
      version === state.release.version
        ? rest(state, 'poll', `its turn: ${detail}`)
        : drop(state, `superseded by ${version}`),
  },
  'answer-apply': {
    to: ['staged', 'idle'],
    run: (state, {version}) =>
      version === state.release.version
        ? go(state, {do: 'refreshMetadata', version})
        : drop(state, `superseded by ${version}`),
  },
  'server-unreachable': {to: ['staged'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'server-refused': {to: ['staged'], run: (state, {detail}) => rest(state, 'poll', detail)},
  'server-failed': {to: ['staged'], run: (state, {detail}) => rest(state, 'retry', detail)},

  // The last look before the lock: a release that was withdrawn, or built anew, since it was staged does not boot.
  'metadata-verified': {
    to: ['staged', 'locking', 'idle'],
    run: (state, {release, barriers}, policy) => {
      if (release.rootHash !== state.release.rootHash)
        return drop(state, 'superseded by another build of it');
      // Leave to go down was given when it was staged.
      const allowDowngrade = policy.operator.allowDowngrade || state.release.downgrade;
      const decision = decide(release, barriers, {...policy, operator: {...policy.operator, allowDowngrade}});
      if (!decision.ok) return drop(state, decision.detail);
      return go(
        {phase: 'locking', release: state.release, drained: false},
        // Before it is asked for: should the answer be lost, the slot is known to be held, and given back.
        {do: 'remember', change: {lock: {to: release.version}}},
        {do: 'acquireLock', from: policy.own.version, to: release.version},
      );
    },
  },
  'release-unknown': {to: ['staged', 'idle'], run: (state, {detail}) => drop(state, `withdrawn: ${detail}`)},
  'metadata-unreachable': {to: ['staged'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'metadata-rejected': {
    to: ['staged'],
    run: (state, {detail}) =>
      go(
        state,
        {do: 'note', event: 'metadata-rejected', version: state.release.version, detail},
        {do: 'rest', wake: 'poll', waitsFor: `metadata that can be trusted: ${detail}`},
      ),
  },
  dropped: {
    to: ['idle'],
    run: () =>
      go(
        {phase: 'idle'},
        {do: 'remember', change: {staged: null, progress: null}},
        {do: 'rest', wake: 'now'},
      ),
  },
  'drop-failed': {to: ['staged'], run: (state, {detail}) => rest(state, 'poll', detail)},
};

function drop(state: StateOf<'staged'>, detail: string): Step {
  const {version, source} = state.release;
  // It was there before anybody asked for it, and is what the machine can fall back to.
  if (source === 'slot') {
    return go(
      {phase: 'idle'},
      {do: 'note', event: 'rollback-abandoned', version, detail},
      {do: 'remember', change: {staged: null}},
      {do: 'rest', wake: 'poll', waitsFor: detail},
    );
  }
  return go(state, {do: 'note', event: 'dropped', version, detail}, {do: 'dropStaged', version});
}
