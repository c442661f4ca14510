import * as fc from 'fast-check';
import test from 'ava';
import {machinePhases, type MachinePhase} from '../../services/common/contracts/fleet.ts';
import {
  answersTo,
  toldCommands,
  type AskedCommand,
  type Command,
} from '../../services/update-agent/commands.ts';
import {UpdateAgentError} from '../../services/update-agent/errors.ts';
import type {AgentEvent, EventKind} from '../../services/update-agent/events.ts';
import {step, transitions} from '../../services/update-agent/machine.ts';
import {maxFallBackReboots} from '../../services/update-agent/machine-after.ts';
import {maxDamaged, maxFetchAttempts} from '../../services/update-agent/machine-offer.ts';
import {addFailed, emptyRecord} from '../../services/update-agent/record.ts';
import type {Policy, State} from '../../services/update-agent/states.ts';
import {manifest, policy, rootHashOf} from './support.ts';

const versions = ['0.9.0', '1.0.0', '1.1.0', '1.2.0', '2.0.0'];

/** Any event that `command` can bring, with any data. */
function eventsOf(kind: EventKind, version: string, detail: string): AgentEvent {
  const release = {version, rootHash: rootHashOf(version), downgrade: false, source: 'slot'} as const;
  const full = {
    kind,
    detail,
    version,
    release: kind === 'metadata-verified' ? manifest(version) : release,
    barriers: [],
    fence: '7',
    refusal: 'all-slots-held',
  };
  return full as unknown as AgentEvent;
}

/** Mostly what leads onwards, with the version that the machine is busy with; else anything. */
function answer(command: Command, state: State, choice: number): AgentEvent {
  const answers: readonly EventKind[] = answersTo[command.do as AskedCommand];
  const onwards = choice % 10 < 7;
  const kind = onwards
    ? command.do === 'checkServer'
      ? 'answer-apply'
      : answers[0]
    : answers[choice % answers.length];
  const busy =
    'release' in state && state.release !== undefined
      ? state.release.version
      : 'version' in state
        ? state.version
        : '1.1.0';
  const version = onwards ? busy : versions[Math.floor(choice / 10) % versions.length];
  return eventsOf(kind ?? 'wake', version ?? '1.1.0', 'why');
}

interface Walk {
  readonly commands: readonly Command[];
  readonly kinds: readonly EventKind[];
  readonly state: State;
}

/** A run as the runner makes it: each asked command brings one of its answers; each rest, a wake. */
function walk(start: State, choices: readonly number[], base: Policy, look: (walk: Walk) => void): void {
  let state = start;
  let record = emptyRecord();
  let event: AgentEvent = {kind: 'wake'};
  const kinds: EventKind[] = [];
  for (const choice of choices) {
    kinds.push(event.kind);
    const taken = step(state, event, {...base, failed: record.failed});
    state = taken.next;
    look({commands: taken.commands, kinds, state});
    const last = taken.commands.at(-1);
    if (last === undefined) throw new Error('nothing to do');
    for (const command of taken.commands)
      if (command.do === 'rememberFailed') record = addFailed(record, command.failed);
    if (last.do === 'rest') {
      if (last.wake === 'never') return;
      event = {kind: 'wake'};
      continue;
    }
    event = answer(last, state, choice);
  }
}

const choices = fc.array(fc.nat(10_000), {minLength: 30, maxLength: 80});
const policies = fc.record({
  onDrainTimeout: fc.constantFrom('wait' as const, 'force' as const),
  gate: fc.boolean(),
  proven: fc.boolean(),
  allowDowngrade: fc.boolean(),
});
const given = (drawn: {allowDowngrade: boolean} & Pick<Policy, 'onDrainTimeout' | 'gate' | 'proven'>) =>
  policy({...drawn, operator: {allowDowngrade: drawn.allowDowngrade, apply: false}});

test('no machine reboots into a release without the lock, the drain and the fence looked at last of all', t => {
  let reboots = 0;
  fc.assert(
    fc.property(choices, policies, (drawn, wishes) => {
      walk({phase: 'idle'}, drawn, given(wishes), ({commands, kinds}) => {
        if (!commands.some(command => command.do === 'reboot')) return;
        reboots += 1;
        const [granted, drained, confirmed, armed] = kinds.slice(-4);
        if (granted !== 'lock-granted' || confirmed !== 'lock-confirmed' || armed !== 'armed')
          throw new Error(kinds.join());
        if (drained !== 'drained' && !(drained === 'drain-blocked' && wishes.onDrainTimeout === 'force'))
          throw new Error(kinds.join());
      });
    }),
    {numRuns: 4000},
  );
  t.true(reboots > 100, `${reboots} reboots were looked at`);
});

test('a slot is given back as put off only when no reboot into its release was asked for', t => {
  const said = {putOff: 0, putOffAfterConfirm: 0, rebooted: 0};
  const look = (start: State, drawn: readonly number[], base: Policy) => {
    let rebooted = start.phase === 'proving' || start.phase === 'fell-back';
    walk(start, drawn, base, ({commands, kinds}) => {
      for (const command of commands) {
        if (command.do === 'bless') rebooted = true;
        if (command.do !== 'releaseLock') continue;
        if (command.rebooted !== rebooted) throw new Error(`${command.rebooted}: ${kinds.join()}`);
        said[rebooted ? 'rebooted' : 'putOff'] += 1;
        const since = kinds.slice(kinds.lastIndexOf('lock-granted'));
        if (!rebooted && since.includes('lock-confirmed')) said.putOffAfterConfirm += 1;
      }
      if (kinds.at(-1) === 'lock-released' || kinds.at(-1) === 'lock-lost') rebooted = false;
    });
  };
  fc.assert(
    fc.property(fc.constantFrom('idle', 'proving', 'fell-back'), choices, policies, (from, drawn, wishes) => {
      const start = starts.find(({phase}) => phase === from) ?? {phase: 'idle'};
      look(start, drawn, given(wishes));
    }),
    {numRuns: 4000},
  );
  t.true(said.putOff > 100 && said.putOffAfterConfirm > 20 && said.rebooted > 100, JSON.stringify(said));
});

test('a release that failed is never staged again, and none is while the running one is unproven', t => {
  let stagings = 0;
  fc.assert(
    fc.property(choices, policies, fc.subarray(versions), (drawn, wishes, bad) => {
      const failed = bad.map(version => ({
        version,
        rootHash: rootHashOf(version),
        reason: 'unhealthy',
        detail: '',
        at: '',
      }));
      const base = {...given(wishes)};
      let state: State = {phase: 'idle'};
      let event: AgentEvent = {kind: 'wake'};
      for (const choice of drawn) {
        const {next, commands} = step(state, event, {...base, failed});
        state = next;
        for (const command of commands) {
          if (command.do !== 'stage') continue;
          stagings += 1;
          if (bad.includes(command.release.version)) throw new Error(`${command.release.version} again`);
          if (!wishes.proven) throw new Error('unproven');
          if (command.release.version === '0.9.0' && !wishes.allowDowngrade) throw new Error('downgrade');
        }
        const last = commands.at(-1);
        if (last === undefined || last.do === 'rest') event = {kind: 'wake'};
        else event = answer(last, state, choice);
        if (state.phase === 'rebooting') return;
      }
    }),
    {numRuns: 3000},
  );
  t.true(stagings > 100, `${stagings} stagings were looked at`);
});

test('commands that bring an event end their list; every list ends in one of them or in a rest', t => {
  const told: readonly string[] = toldCommands;
  fc.assert(
    fc.property(choices, policies, (drawn, wishes) => {
      walk({phase: 'idle'}, drawn, given(wishes), ({commands}) => {
        for (const command of commands.slice(0, -1))
          if (!told.includes(command.do) || command.do === 'rest')
            throw new Error(`${command.do} is not the last`);
        const last = commands.at(-1)?.do ?? 'nothing';
        if (last !== 'rest' && told.includes(last)) throw new Error(`the list ends in ${last}`);
      });
    }),
  );
  t.pass();
});

const anyRelease = {
  version: '1.1.0',
  rootHash: rootHashOf('1.1.0'),
  downgrade: false,
  source: 'fetched',
} as const;
const failed = {version: '1.1.0', rootHash: rootHashOf('1.1.0'), reason: 'unhealthy', detail: '', at: ''};
/** What recover.ts can begin with. */
const starts: readonly State[] = [
  {phase: 'idle'},
  {phase: 'fetching', version: '1.1.0', attempts: 3, damaged: 1},
  {phase: 'staged', release: anyRelease},
  {phase: 'staged', release: {...anyRelease, source: 'slot'}},
  {phase: 'locking', release: anyRelease, drained: true},
  {phase: 'locking', release: anyRelease, drained: false},
  {phase: 'proving', release: anyRelease, reboots: 0, fence: '7'},
  {
    phase: 'proving',
    release: anyRelease,
    reboots: 0,
    verdict: 'healthy',
    replaced: {version: '1.0.0', rootHash: rootHashOf('1.0.0')},
  },
  {phase: 'proving', release: anyRelease, reboots: 0, verdict: 'unhealthy'},
  {phase: 'proving', release: anyRelease, reboots: maxFallBackReboots, verdict: 'unhealthy'},
  {phase: 'returning', outcome: 'put-off', version: '1.0.0'},
  {phase: 'returning', outcome: 'updated', version: '1.1.0', fence: '7'},
  {phase: 'fell-back', failed, fence: '7'},
];

test('from wherever a boot may find it, whatever comes back: every event has an answer, declared in the table', t => {
  fc.assert(
    fc.property(fc.constantFrom(...starts), choices, policies, (start, drawn, wishes) => {
      walk(start, drawn, given(wishes), () => undefined);
    }),
    {numRuns: 5000},
  );
  t.pass();
});

test('every phase has a way to idle', t => {
  const next = (phase: MachinePhase): readonly MachinePhase[] => [
    ...Object.values(transitions[phase]).flatMap(transition => transition.to),
    // by the reboot itself
    ...(phase === 'rebooting' ? (['proving', 'fell-back'] as const) : []),
  ];
  for (const phase of machinePhases) {
    const seen = new Set<MachinePhase>([phase]);
    for (const one of seen) for (const to of next(one)) seen.add(to);
    t.true(seen.has('idle'), phase);
    t.deepEqual([...seen].sort(), [...machinePhases].sort(), `${phase} leads everywhere`);
  }
});

test('an event that cannot come is a typed error, not a guess', t => {
  for (const [state, event] of [
    [{phase: 'idle'}, {kind: 'drained'}],
    [
      {phase: 'staged', release: anyRelease},
      {kind: 'lock-granted', fence: '7'},
    ],
    [{phase: 'draining', release: anyRelease, fence: '7'}, {kind: 'armed'}],
    [
      {phase: 'proving', release: anyRelease, reboots: 0},
      {kind: 'answer-apply', version: '1.2.0', detail: ''},
    ],
  ] satisfies [State, AgentEvent][]) {
    const error = t.throws(() => step(state, event, policy()), {instanceOf: UpdateAgentError});
    t.is(error.code, 'illegal-transition');
  }
});

test('every counter has its bound', t => {
  const release = manifest('1.1.0');
  const damaged = step(
    {phase: 'fetching', version: '1.1.0', release, attempts: 1, damaged: maxDamaged - 1},
    {kind: 'payload-damaged', detail: 'block 7'},
    policy(),
  );
  t.is(damaged.next.phase, 'idle');
  t.true(
    damaged.commands.some(
      command => command.do === 'rememberFailed' && command.failed.reason === 'payload-damaged',
    ),
  );

  const tired = step(
    {phase: 'fetching', version: '1.1.0', attempts: maxFetchAttempts + 1, damaged: 0},
    {kind: 'metadata-verified', release, barriers: []},
    policy(),
  );
  t.true(
    tired.commands.some(
      command => command.do === 'rememberFailed' && command.failed.reason === 'fetch-gave-up',
    ),
  );

  const stuck = step(
    {phase: 'proving', release: anyRelease, reboots: maxFallBackReboots, verdict: 'unhealthy'},
    {kind: 'wake'},
    policy({own: anyRelease}),
  );
  t.like(stuck.commands.at(-1), {do: 'rest', wake: 'poll'});
});

test('a lost answer, a refusal and a fault of the lock are three things; none of them is a grant', t => {
  const state = {phase: 'locking', release: anyRelease, drained: false} as const;
  const forgets = (event: AgentEvent) =>
    step(state, event, policy()).commands.some(
      command => command.do === 'remember' && command.change.lock === null,
    );
  t.true(forgets({kind: 'lock-refused', refusal: 'quorum', detail: 'two of three'}), 'surely not held');
  t.false(forgets({kind: 'lock-unreachable', detail: 'ECONNRESET'}), 'perhaps held');
  t.false(forgets({kind: 'lock-failed', detail: 'status 503'}), 'perhaps held');
  for (const kind of ['lock-refused', 'lock-unreachable', 'lock-failed'] as const) {
    const {next} = step(state, {kind, refusal: 'quorum', detail: ''}, policy());
    t.is(next.phase, 'locking');
  }
});
