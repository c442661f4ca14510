/** The fleet in memory, kept up to date change by change, against one that is built from nothing. */
import * as fc from 'fast-check';
import test from 'ava';
import {advance} from '../../services/update-server/advance.ts';
import {Fleet, type Change} from '../../services/update-server/fleet.ts';
import {mergeReport} from '../../services/update-server/report.ts';
import {decide} from '../../services/update-server/rollout.ts';
import {fleetSummary, machineStatuses} from '../../services/update-server/status.ts';
import {failure, hash, report, uuidOf} from './support.ts';

const ROOT = '/hawser/v1/';
const START = Date.parse('2026-03-02T10:00:00Z');
const MACHINES = 12;
const versions = ['1.0.0', '1.5.0', '2.0.0'];

/** Changes as servers and operators make them, each with the revision that etcd would give it. */
class World {
  readonly fleet = new Fleet();
  readonly log: Change[] = [];
  now = START;

  put(kind: string, name: string, value: object | undefined): void {
    const key = `${ROOT}${kind}/${name}`;
    const revision = BigInt(this.log.length + 2);
    const change = value === undefined ? {key, revision} : {key, value: JSON.stringify(value), revision};
    this.log.push(change);
    this.fleet.apply(change);
  }

  report(number: number, over: Parameters<typeof report>[0]): void {
    const uuid = uuidOf(number);
    const before = this.fleet.machines.get(uuid)?.record;
    const at = new Date(this.now).toISOString();
    const request = report({name: `m${number}`, ...over});
    this.put('machines', uuid, mergeReport(before, {uuid, name: `m${number}`}, request, at).record);
  }

  settle(): void {
    for (let step = 0; step < 50; step += 1) {
      const next = ['all', 'web']
        .map(name => advance(name, this.fleet, this.now))
        .find(each => each !== undefined);
      if (next === undefined) return;
      this.put('rollouts', next.group, next);
    }
    throw new Error('the rollout never comes to rest');
  }

  /** The same values, as a server that has just started lists them. */
  fromNothing(): Fleet {
    const last = new Map(this.log.map(change => [change.key, change]));
    const fleet = new Fleet();
    fleet.reset([...last.values()].filter(({value}) => value !== undefined));
    return fleet;
  }
}

const at = new Date(START).toISOString();
const group = (name: string, config: object) => ({
  schema: 1,
  name,
  config: {channel: 'stable', ...config},
  changedAt: at,
  changedBy: 'x',
});

function newWorld(): World {
  const world = new World();
  world.put('channels', 'stable', {schema: 1, name: 'stable', changedAt: at});
  for (const version of versions) {
    const facts = {version, rootHash: hash(version), created: at, barrier: version === '1.5.0'};
    world.put('releases', version, {schema: 1, registeredAt: at, facts});
  }
  world.put('groups', 'all', group('all', {selector: {}}));
  for (let machine = 0; machine < MACHINES; machine += 1) world.report(machine, {});
  const promotion = {id: 'first', version: '2.0.0', at, by: 'x'};
  world.put('channels', 'stable', {schema: 1, name: 'stable', changedAt: at, promotion});
  world.settle();
  return world;
}

const number = fc.integer({min: 0, max: MACHINES - 1});
const step = fc.oneof(
  fc.record({
    kind: fc.constant('report' as const),
    number,
    version: fc.constantFrom(...versions),
    phase: fc.constantFrom('idle' as const, 'draining' as const, 'proving' as const, 'fell-back' as const),
    failed: fc.boolean(),
    web: fc.boolean(),
    healthy: fc.option(fc.boolean(), {nil: undefined}),
  }),
  fc.record({kind: fc.constant('promote' as const), version: fc.constantFrom(...versions)}),
  fc.record({
    kind: fc.constant('group' as const),
    name: fc.constantFrom('all', 'web'),
    there: fc.boolean(),
    share: fc.integer({min: 1, max: 100}),
    stopAfter: fc.integer({min: 1, max: 4}),
    pin: fc.option(fc.constantFrom(...versions), {nil: undefined}),
  }),
  fc.record({
    kind: fc.constant('assign' as const),
    number,
    group: fc.option(fc.constantFrom('all', 'web', 'gone'), {nil: undefined}),
    forgotten: fc.boolean(),
  }),
  fc.record({kind: fc.constant('withdraw' as const), version: fc.constantFrom(...versions)}),
  fc.record({kind: fc.constant('wait' as const), seconds: fc.integer({min: 1, max: 4000})}),
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function take(world: World, each: Step, index: number): void {
  switch (each.kind) {
    case 'report':
      world.report(each.number, {
        version: each.version,
        phase: each.phase,
        labels: each.web ? {group: 'web'} : {},
        failed: each.failed ? [failure('2.0.0')] : [],
        ...(each.phase === 'draining' ? {staged: '2.0.0'} : {}),
        ...(each.healthy === undefined ? {} : {healthy: each.healthy}),
      });
      break;
    case 'promote': {
      const promotion = {id: `p${index}`, version: each.version, at, by: 'x'};
      world.put('channels', 'stable', {schema: 1, name: 'stable', changedAt: at, promotion});
      break;
    }
    case 'group': {
      const {share, stopAfter, pin} = each;
      const waves = share === 100 ? [] : [{share}];
      const config = {
        waves,
        stopAfter,
        ...(pin === undefined ? {} : {pin}),
        ...(each.name === 'all' ? {selector: {}} : {}),
      };
      world.put('groups', each.name, each.there ? group(each.name, config) : undefined);
      break;
    }
    case 'assign': {
      const uuid = uuidOf(each.number);
      world.put('assignments', uuid, {
        schema: 1,
        uuid,
        ...(each.group === undefined ? {} : {group: each.group}),
        ...(each.forgotten ? {forgotten: {at, by: 'x'}} : {}),
      });
      break;
    }
    case 'withdraw': {
      const known = world.fleet.releases.get(each.version);
      world.put('releases', each.version, {...known, withdrawn: {at, by: 'x', reason: 'bad'}});
      break;
    }
    case 'wait':
      world.now += each.seconds * 1000;
      break;
  }
}

test('counted change by change or from nothing: the same answers, the same status, the same next step', t => {
  fc.assert(
    fc.property(fc.array(step, {maxLength: 40}), steps => {
      const world = newWorld();
      for (const [index, each] of steps.entries()) {
        take(world, each, index);
        world.settle();
      }
      const fresh = world.fromNothing();
      for (const [uuid, machine] of world.fleet.machines) {
        const other = fresh.machines.get(uuid);
        if (other === undefined) throw new Error(`${uuid} is missing`);
        t.deepEqual(decide(other, fresh, world.now), decide(machine, world.fleet, world.now));
      }
      const status = (fleet: Fleet) => {
        const input = {fleet, locks: [], seen: new Map(), now: world.now};
        const machines = [...machineStatuses(input)].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
        return {...fleetSummary(input), machines};
      };
      t.deepEqual(status(fresh), status(world.fleet));
      for (const name of ['all', 'web']) t.is(advance(name, fresh, world.now), undefined);
    }),
    {numRuns: 200},
  );
});

test('whatever happens: nobody is sent to a release that is withdrawn, failed on it, or in a rollout that stopped', t => {
  let sent = 0;
  fc.assert(
    fc.property(fc.array(step, {maxLength: 40}), steps => {
      const world = newWorld();
      for (const [index, each] of steps.entries()) {
        take(world, each, index);
        world.settle();
        for (const machine of world.fleet.machines.values()) {
          const {action, version = ''} = decide(machine, world.fleet, world.now);
          if (action === 'none') continue;
          sent += 1;
          const {record, membership, assignment} = machine;
          t.is(world.fleet.releases.get(version)?.withdrawn, undefined);
          t.false(record.report.failed.some(failed => failed.version === version));
          t.is(assignment?.forgotten, undefined);
          if (membership.kind !== 'in') throw new Error('a machine of no group is sent nowhere');
          if (world.fleet.groups.get(membership.group)?.config.pin !== undefined) continue;
          t.is(world.fleet.rollouts.get(membership.group)?.state === 'stopped', false);
        }
      }
    }),
    {numRuns: 200},
  );
  t.true(sent > 1000, `${sent} machines were sent somewhere`);
});

test('a change that comes twice, or late, changes nothing', t => {
  const world = newWorld();
  world.report(1, {});
  world.report(1, {version: '2.0.0'});
  world.put('machines', uuidOf(1), undefined);
  for (const change of world.log) world.fleet.apply(change);
  t.false(world.fleet.machines.has(uuidOf(1)));
  t.is(world.fleet.membersOf('all').size, MACHINES - 1);
});
