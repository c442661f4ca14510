/** After the reboot: proving health, then the way back into service, on the new release or on the old one. */
import type {LockPhase} from '../common/contracts/lock.ts';
import type {Command} from './commands.ts';
import type {StateOf} from './states.ts';
import {go, rest, type Row, type Step} from './transition.ts';

/** Reboots that may be spent on leaving a release that was found unhealthy; past it there is nothing to fall back to. */
export const maxFallBackReboots = 2;

export const provingRow: Row<'proving'> = {
  wake: {
    to: ['proving'],
    run: state => {
      if (state.verdict === 'healthy') return go(state, {do: 'bless'});
      if (state.verdict === 'unhealthy') return leave(state, 'found unhealthy before');
      return go(
        state,
        {do: 'report', phase: 'proving', ...lockAt('proving', state.fence)},
        {do: 'proveHealth'},
      );
    },
  },
  healthy: {
    to: ['proving'],
    run: (state, _event, policy) =>
      policy.gate
        ? // systemd-bless-boot follows boot-complete.target, for which this verdict is the condition.
          go(
            {...state, verdict: 'healthy'},
            {do: 'rememberVerdict', verdict: 'healthy'},
            {do: 'rest', wake: 'now'},
          )
        : go({...state, verdict: 'healthy'}, {do: 'rememberVerdict', verdict: 'healthy'}, {do: 'bless'}),
  },
  unhealthy: {
    to: ['proving'],
    run: (state, {detail}, policy) => {
      const {version, rootHash} = state.release;
      const failed = {version, rootHash, reason: 'unhealthy', detail: detail.slice(0, 1024), at: policy.now};
      return leave(
        {...state, verdict: 'unhealthy'},
        detail,
        {do: 'rememberFailed', failed},
        {do: 'rememberVerdict', verdict: 'unhealthy', detail},
        {do: 'note', event: 'unhealthy', version, detail},
      );
    },
  },
  blessed: {
    to: ['returning'],
    run: (state, _event, policy) => {
      const {version} = state.release;
      const {replaced} = state;
      return go(
        {
          phase: 'returning',
          outcome: 'updated',
          version,
          ...(state.fence === undefined ? {} : {fence: state.fence}),
        },
        ...(replaced === undefined
          ? []
          : [
              {
                do: 'rememberFailed',
                failed: {
                  ...replaced,
                  reason: 'rolled-back',
                  detail: `back to ${version} by the operator`,
                  at: policy.now,
                },
              } as const,
            ]),
        {do: 'note', event: 'updated', version},
        {do: 'remember', change: {trial: null, staged: null, putOffs: 0}},
        {do: 'tidy'},
        {do: 'report', phase: 'returning', ...lockAt('returning', state.fence)},
        {do: 'returnToService'},
      );
    },
  },
  'bless-failed': {
    to: ['proving'],
    run: (state, {detail}) => rest(state, 'retry', `its boot entry: ${detail}`),
  },
  'reboot-requested': {
    to: ['proving'],
    run: state => go(state, {do: 'rest', wake: 'never', waitsFor: 'the reboot'}),
  },
  'reboot-failed': {to: ['proving'], run: (state, {detail}) => rest(state, 'retry', `a reboot: ${detail}`)},
};

export const returningRow: Row<'returning'> = {
  wake: {to: ['returning'], run: state => go(state, {do: 'returnToService'})},
  returned: {
    to: ['returning'],
    run: state =>
      go(
        state,
        {do: 'remember', change: {drained: false}},
        {
          do: 'releaseLock',
          // The lock may have heard `rebooting` before it was put off: without this word, that counts as a failure.
          rebooted: state.outcome === 'updated',
          ...(state.fence === undefined ? {} : {fence: state.fence}),
        },
      ),
  },
  'return-failed': {
    to: ['returning'],
    run: (state, {detail}) => rest(state, 'retry', `its return into service: ${detail}`),
  },
  'lock-released': {
    to: ['idle'],
    run: state =>
      state.outcome === 'updated'
        ? go(
            {phase: 'idle'},
            {do: 'remember', change: {lock: null}},
            {do: 'note', event: 'in-service', version: state.version},
            {do: 'rest', wake: 'now'},
          )
        : go(
            {phase: 'idle'},
            {do: 'remember', change: {lock: null}},
            {do: 'countPutOff'},
            {do: 'rest', wake: 'poll', waitsFor: 'the next attempt to drain'},
          ),
  },
  'lock-lost': {
    to: ['idle'],
    run: (_state, {detail}) =>
      go(
        {phase: 'idle'},
        {do: 'remember', change: {lock: null}},
        {do: 'note', event: 'lock-lost', detail},
        {do: 'rest', wake: 'poll'},
      ),
  },
  'lock-unreachable': {
    to: ['returning'],
    run: (state, {detail}) => rest(state, 'retry', `the lock's release: ${detail}`),
  },
  'lock-failed': {
    to: ['returning'],
    run: (state, {detail}) => rest(state, 'retry', `the lock's release: ${detail}`),
  },
};

export const fallenBackRow: Row<'fell-back'> = {
  wake: {
    to: ['fell-back'],
    run: state =>
      go(
        state,
        {do: 'rememberFailed', failed: state.failed},
        {do: 'note', event: 'fell-back', version: state.failed.version, detail: state.failed.detail},
        {do: 'report', phase: 'fell-back'},
        {do: 'dropStaged', version: state.failed.version},
      ),
  },
  dropped: {
    to: ['fell-back'],
    run: state => go(state, {do: 'remember', change: {staged: null}}, {do: 'proveHealth'}),
  },
  // Its UKI is exhausted or marked bad, so it does not boot all the same.
  'drop-failed': {to: ['fell-back'], run: state => go(state, {do: 'proveHealth'})},
  healthy: {to: ['fell-back'], run: state => go(state, {do: 'returnToService'})},
  // Out of service, lock held: the next machine must not try what took this one away.
  unhealthy: {to: ['fell-back'], run: (state, {detail}) => rest(state, 'retry', `its own health: ${detail}`)},
  returned: {
    to: ['fell-back'],
    run: state =>
      go(
        state,
        {do: 'remember', change: {drained: false}},
        {do: 'releaseLock', rebooted: true, ...(state.fence === undefined ? {} : {fence: state.fence})},
      ),
  },
  'return-failed': {
    to: ['fell-back'],
    run: (state, {detail}) => rest(state, 'retry', `its return into service: ${detail}`),
  },
  'lock-released': {
    to: ['idle'],
    run: () =>
      go({phase: 'idle'}, {do: 'remember', change: {lock: null, trial: null}}, {do: 'rest', wake: 'now'}),
  },
  'lock-lost': {
    to: ['idle'],
    run: (_state, {detail}) =>
      go(
        {phase: 'idle'},
        {do: 'remember', change: {lock: null, trial: null}},
        {do: 'note', event: 'lock-lost', detail},
        {do: 'rest', wake: 'poll'},
      ),
  },
  'lock-unreachable': {
    to: ['fell-back'],
    run: (state, {detail}) => rest(state, 'retry', `the lock's release: ${detail}`),
  },
  'lock-failed': {
    to: ['fell-back'],
    run: (state, {detail}) => rest(state, 'retry', `the lock's release: ${detail}`),
  },
};

/** Marks the boot bad and reboots into the other slot, as often as that may be tried. */
function leave(state: StateOf<'proving'>, detail: string, ...before: readonly Command[]): Step {
  if (state.reboots >= maxFallBackReboots) {
    return go(state, ...before, {
      do: 'rest',
      wake: 'poll',
      waitsFor: `a person: ${state.release.version} is unhealthy (${detail}), and no other release boots`,
    });
  }
  const reboots = state.reboots + 1;
  return go(
    {...state, reboots},
    ...before,
    {do: 'rememberReboots', reboots},
    {do: 'report', phase: 'proving'},
    {do: 'markBadAndReboot', version: state.release.version},
  );
}

function lockAt(phase: LockPhase, fence: string | undefined): {lock?: {fence: string; phase: LockPhase}} {
  return fence === undefined ? {} : {lock: {fence, phase}};
}
