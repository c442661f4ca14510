/** Fleet files: what they say, what follows from them, and the commands over a cloud in memory. */
import {readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import type {CommandContext, FlagValues} from '../../services/common/command.ts';
import {machineCommands} from '../../machine-drivers/commands.ts';
import {tcpUrl} from '../../machine-drivers/docker/url.ts';
import type {MachineError} from '../../machine-drivers/errors.ts';
import {parseFleetFile, wantedMachines} from '../../machine-drivers/fleet/file.ts';
import {eachWithin} from '../../machine-drivers/fleet/limits.ts';
import {planFleet} from '../../machine-drivers/fleet/plan.ts';
import type {Present, Target} from '../../machine-drivers/fleet/plan.ts';
import {createFlags} from '../../machine-drivers/commands/create.ts';
import {parseArguments} from '../../services/cli/parse.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';
import {captureContext, instantAccess, stubRuntime, temporaryFolder} from './support/runtime.ts';

const text = `
fleet: shop
defaults:
  driver: fake
  labels: {site: home}
groups:
  web: {count: 2, size: 7, labels: {tier: front}}
  db: {count: 1, role: etcd, flags: {engine-opt: [dns=10.0.0.1]}}
`;

test('groups become machines, with defaults, sizes and labels', t => {
  const wanted = wantedMachines(
    parseFleetFile(text, 'f'),
    [fakeDriver(new FakeCloud())],
    createFlags,
    'fake',
  );
  t.deepEqual(
    wanted.map(({name}) => name),
    ['web-0', 'web-1', 'db-0'],
  );
  t.is(wanted[0]?.flags.get('fake-size'), 7);
  t.deepEqual(wanted[0]?.labels, {
    site: 'home',
    tier: 'front',
    'hawser.fleet': 'shop',
    'hawser.group': 'web',
  });
  t.is(wanted[2]?.labels['role'], 'etcd');
  t.deepEqual(wanted[2]?.flags.get('engine-opt'), ['dns=10.0.0.1']);
});

const refuses = test.macro({
  exec(t, given: string, pattern: RegExp) {
    const error = t.throws<MachineError>(() =>
      wantedMachines(parseFleetFile(given, 'fleet.yaml'), [fakeDriver(new FakeCloud())], createFlags, 'fake'),
    );
    t.regex(error?.message ?? '', pattern);
    t.truthy(error?.remedy);
  },
  title: (_, given) => `refuses ${JSON.stringify(given)}`,
});

test(refuses, 'fleet: [', /fleet\.yaml/);
test(refuses, 'fleet: shop', /groups/);
test(refuses, 'fleet: shop\ngroups: {web: {}}', /count/);
test(refuses, 'fleet: shop\ngroups: {web: {count: -1}}', /count/);
test(refuses, 'fleet: shop\ngroups: {web: {count: 1, colour: red}}', /fleet\.yaml is not valid/);
test(refuses, 'fleet: shop\ngroups: {web: {count: 1, driver: nova}}', /no driver "nova"/);
test(
  refuses,
  'fleet: shop\ngroups: {web: {count: 1, flags: {fake-colour: red}}}',
  /group web: fake has no flag "fake-colour"/,
);
test(refuses, 'fleet: shop\ngroups: {web: {count: 1, size: big}}', /fake-size is "big", which is no integer/);
test(refuses, 'fleet: shop\ngroups: {web: {count: 1, flags: {swarm: true}}}', /swarm is not taken/);
test(refuses, 'fleet: shop\ngroups: {we_b: {count: 1}}', /cannot name a machine/);

const target: Target = {
  name: 'web-0',
  group: 'web',
  driver: 'fake',
  settings: {size: 1},
  labels: {'hawser.fleet': 'shop'},
};
const machine: Present = {...target, finished: true, state: 'Running'};

test('the plan: made, kept, started, finished, replaced, removed, taken', t => {
  const ours = (one: Present) => one.labels['hawser.fleet'] === 'shop';
  const kinds = (present: readonly Present[]) => planFleet([target], present, ours).map(({kind}) => kind);
  t.deepEqual(kinds([]), ['create']);
  t.deepEqual(kinds([machine]), ['keep']);
  t.deepEqual(kinds([{...machine, state: 'Stopped'}]), ['start']);
  t.deepEqual(kinds([{...machine, finished: false}]), ['finish']);
  t.deepEqual(kinds([{...machine, labels: {}}]), ['taken']);
  t.deepEqual(kinds([machine, {...machine, name: 'web-1'}]), ['keep', 'remove']);
  t.deepEqual(kinds([machine, {...machine, name: 'mine', labels: {}}]), ['keep']);
  const [drifted] = planFleet(
    [target],
    [{...machine, settings: {size: 2}, labels: {...machine.labels, x: 'y'}}],
    ours,
  );
  t.deepEqual(drifted, {
    kind: 'replace',
    name: 'web-0',
    driver: 'fake',
    why: ['size: 2 instead of 1', 'label x: "y" instead of nothing'],
  });
  t.deepEqual(kinds([{...machine, state: 'None'}]), ['replace']);
});

test('no more at once than a driver allows, and one failure does not stop the others', async t => {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const items = Array.from({length: 20}, (_, index) => ({driver: index % 2 === 0 ? 'a' : 'b', index}));
  const outcomes = await eachWithin(
    items,
    driver => (driver === 'a' ? 3 : 1),
    async ({driver, index}) => {
      const now = (running.get(driver) ?? 0) + 1;
      running.set(driver, now);
      most.set(driver, Math.max(most.get(driver) ?? 0, now));
      await new Promise(resolve => setImmediate(resolve));
      running.set(driver, now - 1);
      if (index === 4) throw new Error('no');
    },
  );
  t.deepEqual([most.get('a'), most.get('b')], [3, 1]);
  t.deepEqual(
    outcomes.filter(({error}) => error !== undefined).map(({item}) => item.index),
    [4],
  );
  t.is(outcomes.length, 20);
});

interface Bench {
  readonly cloud: FakeCloud;
  readonly home: string;
  readonly run: (...words: string[]) => Promise<{code: number; printed: string[]; warned: string[]}>;
}

/** The commands as they are, over a cloud in memory. */
async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await temporaryFolder(t);
  const cloud = new FakeCloud();
  const env = {HOME: home};
  const commands = machineCommands({
    registry: [fakeDriver(cloud)],
    access: instantAccess,
    runtime: () => ({...stubRuntime(home), env}),
  });
  const run: Bench['run'] = async (...words) => {
    const command = commands.find(({name}) => name === words.slice(0, 2).join(' '));
    if (command === undefined) throw new Error(words.join(' '));
    const {context, printed, warned} = captureContext(env);
    const input: {args: readonly string[]; flags: FlagValues} = parseArguments(command, words.slice(2), env);
    const given: CommandContext = {...context, cwd: home};
    return {code: await command.run(given, input), printed, warned};
  };
  return {cloud, home, run};
}

test('a fleet is planned, made, grown, shown where it drifted, and destroyed', async t => {
  const {cloud, home, run} = await bench(t);
  const file = join(home, 'fleet.yaml');
  await writeFile(file, text);
  t.deepEqual((await run('fleet', 'plan', file)).printed.at(-1), '3 create');
  t.is((await run('fleet', 'apply', file)).code, 0);
  t.is(cloud.things.filter(({kind}) => kind === 'server').length, 3);
  t.deepEqual((await run('fleet', 'plan', file)).printed.at(-1), '3 keep');
  t.deepEqual((await run('machine', 'ls', '-q', '--filter', 'label=tier=front')).printed, ['web-0', 'web-1']);

  await writeFile(
    file,
    text.replace('count: 2, size: 7', 'count: 1, size: 8').replace('db: {count: 1', 'db: {count: 2'),
  );
  const plan = JSON.parse((await run('fleet', 'plan', '--output', 'json', file)).printed[0] ?? '') as {
    actions: {kind: string; name: string; why?: string[]}[];
  };
  t.deepEqual(
    plan.actions.map(({kind, name}) => `${kind} ${name}`),
    ['replace web-0', 'keep db-0', 'create db-1', 'remove web-1'],
  );
  t.deepEqual(plan.actions[0]?.why, ['size: 7 instead of 8']);
  await t.throwsAsync(run('fleet', 'apply', file), {message: /nobody is there to answer/});
  const before = cloud.things.find(({name}) => name === 'web-0')?.id;
  const applied = await run('fleet', 'apply', '-y', file);
  t.regex(applied.warned.join('\n'), /web-0 is left as it is .*--replace makes it anew/);
  t.is(cloud.things.find(({name}) => name === 'web-0')?.id, before);
  t.is((await run('fleet', 'apply', '-y', '--replace', file)).code, 0);
  t.not(cloud.things.find(({name}) => name === 'web-0')?.id, before);
  t.is((await run('fleet', 'destroy', '-y', file)).code, 0);
  t.deepEqual(cloud.things, []);
});

test('a machine that is not the fleet’s keeps its name', async t => {
  const {cloud, home, run} = await bench(t);
  await writeFile(join(home, 'fleet.yaml'), text);
  await run('machine', 'create', '-d', 'fake', 'web-1');
  await t.throwsAsync(run('fleet', 'apply', 'fleet.yaml'), {
    message: /"web-1" exists and is not of the fleet shop/,
  });
  t.is((await run('fleet', 'destroy', '-y', 'fleet.yaml')).code, 0);
  t.is(cloud.things.filter(({kind}) => kind === 'server').length, 1);
});

test('one failure is told, and the rest is made', async t => {
  const {cloud, home, run} = await bench(t);
  await writeFile(join(home, 'fleet.yaml'), text);
  cloud.failFor = 'web-1';
  const {code, printed, warned} = await run('fleet', 'apply', 'fleet.yaml');
  t.is(code, 1);
  t.deepEqual(printed, ['2 done, 1 failed']);
  t.regex(warned.join('\n'), /web-1: .*no room/);
});

test('gc removes what no record tells of, after it was asked; adopt takes it in again', async t => {
  const {cloud, run} = await bench(t);
  await run('machine', 'create', '-d', 'fake', 'kept');
  cloud.make('server', '00000000-0000-4000-8000-000000000001', 'lost');
  const shown = await run('machine', 'gc', '--dry-run');
  t.deepEqual(shown.printed, ['fake  lost  00000000-0000-4000-8000-000000000001  server-3']);
  t.is(cloud.things.length, 3);
  await t.throwsAsync(run('machine', 'gc'), {message: /nobody is there to answer/});
  await t.throwsAsync(run('machine', 'adopt', '-d', 'fake', 'elsewhere'), {
    message: /no machine "elsewhere"/,
  });
  t.deepEqual((await run('machine', 'adopt', '-d', 'fake', 'lost')).printed, ['lost']);
  t.deepEqual((await run('machine', 'gc', '-y')).printed, []);
  t.is((await run('machine', 'rm', '-y', 'lost')).code, 0);
  t.is(cloud.things.length, 2);
  cloud.make('server', '00000000-0000-4000-8000-000000000002', 'late');
  t.is((await run('machine', 'gc', '-y')).code, 0);
  t.is(cloud.things.length, 2);
});

test('keys that were changed at the cloud do not keep a machine from its operator', async t => {
  const {cloud, run} = await bench(t);
  await run('machine', 'create', '-d', 'fake', 'web');
  cloud.locked = true;
  t.deepEqual((await run('machine', 'url', 'web')).printed, ['tcp://127.0.0.1:1']);
  t.deepEqual((await run('machine', 'ip', 'web')).printed, ['127.0.0.1']);
  t.regex(
    (await run('machine', 'ls')).printed[1] ?? '',
    /^web +- +fake +Error .*does not know FAKE_PASSWORD: set it$/,
  );
  await t.throwsAsync(run('machine', 'stop', 'web'), {code: 'credentials'});
});

test('what became of each machine is told as JSON', async t => {
  const {run} = await bench(t);
  for (const name of ['a', 'b']) await run('machine', 'create', '-d', 'fake', name);
  t.deepEqual(JSON.parse((await run('machine', 'stop', '--output', 'json', 'a')).printed[0] ?? ''), [
    {name: 'a'},
  ]);
  t.deepEqual(JSON.parse((await run('machine', 'ip', '--output', 'json', 'b')).printed[0] ?? ''), [
    {name: 'b', ip: '127.0.0.1'},
  ]);
  t.deepEqual(JSON.parse((await run('machine', 'url', '--output', 'json', 'b')).printed[0] ?? ''), {
    name: 'b',
    url: 'tcp://127.0.0.1:1',
  });
  t.is(tcpUrl({host: '2001:db8::1', port: 2376}), 'tcp://[2001:db8::1]:2376');
});

test('machines move to another store with their keys, and never over others', async t => {
  const [one, two] = [await bench(t), await bench(t)];
  await one.run('machine', 'create', '-d', 'fake', '--label', 'a=b', 'web');
  const bundle = join(one.home, 'web.tar');
  await one.run('machine', 'export', bundle, 'web');
  t.is((await stat(bundle)).mode & 0o777, 0o600);
  t.deepEqual((await two.run('machine', 'import', bundle)).printed, ['web']);
  const of = (home: string, file: string) => readFile(join(home, 'machines', file), 'utf8');
  for (const file of ['web/machine.json', 'web/id_ed25519', 'web/ledger.jsonl', '.store.json'])
    t.is(await of(two.home, file), await of(one.home, file), file);
  await t.throwsAsync(two.run('machine', 'import', bundle), {code: 'exists'});
  await writeFile(bundle, 'no tar');
  await t.throwsAsync(two.run('machine', 'import', bundle));
  t.deepEqual((await two.run('machine', 'ls', '-q')).printed, ['web']);
});
