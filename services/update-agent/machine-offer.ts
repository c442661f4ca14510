/** From nothing to a release in the idle slot: idle, fetching. */
import type {ReleaseManifest} from '../common/contracts/release.ts';
import {decide} from './decide.ts';
import type {Policy, StateOf} from './states.ts';
import {go, rest, type Row, type Step} from './transition.ts';

/** Runs of the agent in which one release is fetched before it counts as failed. Interrupted ones go on where they were. */
export const maxFetchAttempts = 50;
/** Times that a payload may come with a wrong hash (a broken mirror, a cut file) before its release counts as failed. */
export const maxDamaged = 3;

export const idleRow: Row<'idle'> = {
  wake: {to: ['idle'], run: state => go(state, {do: 'checkServer'})},
  'answer-none': {to: ['idle'], run: (state, {detail}) => rest(state, 'poll', detail)},
  'answer-stage': {to: ['fetching'], run: (_state, {version}) => fetch(version)},
  'answer-apply': {to: ['fetching'], run: (_state, {version}) => fetch(version)},
  'server-unreachable': {to: ['idle'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'server-refused': {to: ['idle'], run: (state, {detail}) => rest(state, 'poll', detail)},
  'server-failed': {to: ['idle'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'rollback-asked': {
    to: ['locking'],
    run: (_state, {release}, policy) =>
      go(
        {phase: 'locking', release, drained: false},
        {do: 'note', event: 'rollback-asked', version: release.version},
        {do: 'remember', change: {staged: release, lock: {to: release.version}}},
        {do: 'acquireLock', from: policy.own.version, to: release.version},
      ),
  },
};

export const fetchingRow: Row<'fetching'> = {
  wake: {to: ['fetching'], run: state => go(state, {do: 'checkServer'})},
  'answer-none': {to: ['idle'], run: (state, {detail}) => abandon(state, detail)},
  'answer-stage': {to: ['fetching'], run: (state, {version}) => fetch(version, state)},
  'answer-apply': {to: ['fetching'], run: (state, {version}) => fetch(version, state)},
  'server-unreachable': {to: ['fetching'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'server-refused': {to: ['fetching'], run: (state, {detail}) => rest(state, 'poll', detail)},
  'server-failed': {to: ['fetching'], run: (state, {detail}) => rest(state, 'retry', detail)},

  'metadata-verified': {to: ['fetching', 'idle'], run: accept},
  'release-unknown': {
    to: ['idle'],
    run: (state, {detail}) => abandon(state, `${state.version} is not in the signed metadata: ${detail}`),
  },
  'metadata-unreachable': {to: ['fetching'], run: (state, {detail}) => rest(state, 'retry', detail)},
  'metadata-rejected': {
    to: ['fetching'],
    run: (state, {detail}) =>
      noteAndRest(state, 'metadata-rejected', detail, `metadata that can be trusted: ${detail}`),
  },

  'slot-written': {
    to: ['fetching', 'idle'],
    run: state =>
      state.release === undefined
        ? abandon(state, 'the release is not known')
        : go(state, {do: 'placeUki', release: state.release}),
  },
  'fetch-unreachable': {to: ['fetching', 'idle'], run: (state, {detail}) => retryFetch(state, detail)},
  'payload-damaged': {
    to: ['fetching', 'idle'],
    run: (state, {detail}, policy) => {
      const damaged = state.damaged + 1;
      if (damaged >= maxDamaged) return fail(state, policy, 'payload-damaged', detail);
      return go(
        {...state, damaged},
        {do: 'remember', change: {fetching: {version: state.version, attempts: state.attempts, damaged}}},
        {do: 'note', event: 'payload-damaged', version: state.version, detail},
        {do: 'rest', wake: 'retry', waitsFor: `a payload without damage: ${detail}`},
      );
    },
  },
  'stage-failed': {
    to: ['fetching'],
    run: (state, {detail}) => noteAndRest(state, 'stage-failed', detail, detail),
  },

  'uki-placed': {
    to: ['staged', 'idle'],
    run: (state, _event, policy) => {
      if (state.release === undefined) return abandon(state, 'the release is not known');
      const {version, rootHash} = state.release;
      // `accept` let it pass, so below its own only with leave.
      const decision = decide(state.release, [], policy);
      const downgrade = decision.ok && decision.downgrade;
      const release = {version, rootHash, downgrade, source: 'fetched'} as const;
      return go(
        {phase: 'staged', release},
        {do: 'remember', change: {staged: release, fetching: null}},
        {do: 'note', event: 'staged', version},
        {do: 'checkServer'},
      );
    },
  },
  'esp-full': {
    to: ['fetching'],
    run: (state, {detail}) => noteAndRest(state, 'esp-full', detail, `room in the ESP: ${detail}`),
  },
  'place-failed': {
    to: ['fetching'],
    run: (state, {detail}) => noteAndRest(state, 'stage-failed', detail, detail),
  },
};

/** Tells what went wrong, and looks again at the next poll. */
function noteAndRest(
  state: StateOf<'fetching'>,
  event: 'metadata-rejected' | 'stage-failed' | 'esp-full',
  detail: string,
  waitsFor: string,
): Step {
  return go(state, {do: 'note', event, version: state.version, detail}, {do: 'rest', wake: 'poll', waitsFor});
}

function fetch(version: string, before?: StateOf<'fetching'>): Step {
  const same = before?.version === version;
  const attempts = (same ? before.attempts : 0) + 1;
  const damaged = same ? before.damaged : 0;
  return go(
    {phase: 'fetching', version, attempts, damaged},
    {do: 'remember', change: {fetching: {version, attempts, damaged}}},
    {do: 'refreshMetadata', version},
  );
}

function accept(
  state: StateOf<'fetching'>,
  {release, barriers}: {readonly release: ReleaseManifest; readonly barriers: readonly string[]},
  policy: Policy,
): Step {
  if (release.version !== state.version) {
    return abandon(state, `the metadata of ${state.version} is that of ${release.version}`);
  }
  const decision = decide(release, barriers, policy);
  if (!decision.ok) {
    const told =
      // Told before, when it failed; and every poll would tell it anew.
      decision.refusal === 'runs-already' || decision.refusal === 'failed-before'
        ? []
        : [
            {
              do: 'note',
              event: 'release-refused',
              version: release.version,
              detail: decision.detail,
            } as const,
          ];
    return go(
      {phase: 'idle'},
      ...told,
      {do: 'remember', change: {fetching: null}},
      {do: 'rest', wake: 'poll', waitsFor: decision.detail},
    );
  }
  if (state.attempts > maxFetchAttempts) {
    return fail({...state, release}, policy, 'fetch-gave-up', `not fetched in ${maxFetchAttempts} attempts`);
  }
  return go({...state, release}, {do: 'report', phase: 'fetching'}, {do: 'stage', release});
}

function retryFetch(state: StateOf<'fetching'>, detail: string): Step {
  return rest(state, 'retry', `the repository: ${detail}`);
}

function fail(state: StateOf<'fetching'>, policy: Policy, reason: string, detail: string): Step {
  const {version, release} = state;
  return go(
    {phase: 'idle'},
    ...(release === undefined
      ? []
      : [
          {
            do: 'rememberFailed',
            failed: {
              version,
              rootHash: release.rootHash,
              reason,
              detail: detail.slice(0, 1024),
              at: policy.now,
            },
          } as const,
        ]),
    {do: 'note', event: 'release-failed', version, detail: `${reason}: ${detail}`},
    {do: 'remember', change: {fetching: null}},
    {do: 'rest', wake: 'poll', waitsFor: `a release other than ${version}: ${detail}`},
  );
}

function abandon(state: StateOf<'fetching'>, detail: string): Step {
  return go(
    {phase: 'idle'},
    {do: 'note', event: 'fetch-abandoned', version: state.version, detail},
    {do: 'remember', change: {fetching: null, progress: null}},
    {do: 'rest', wake: 'poll', waitsFor: detail},
  );
}
