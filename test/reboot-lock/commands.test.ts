/** `hawser lock` against the plugin on a real port. */
import test, {type ExecutionContext} from 'ava';
import fastify from 'fastify';
import type {OperatorRole} from '../../services/common/contracts/caller.ts';
import type {Command, CommandContext, FlagValues} from '../../services/common/command.ts';
import {createProgress} from '../../services/common/progress.ts';
import {createMemoryStore, type MemoryStore} from '../../services/reboot-lock/adapters/memory-store.ts';
import {lockCommands} from '../../services/reboot-lock/commands.ts';
import {rebootLock} from '../../services/reboot-lock/plugin.ts';
import {encodeLock} from '../../services/reboot-lock/record.ts';
import {createEvents, createTestClock, heldBy, later, policiesOf, webPolicy} from './support.ts';

const roles: Readonly<Record<string, OperatorRole>> = {'Bearer ada': 'operator', 'Bearer vera': 'viewer'};

interface Run {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

interface Stand {
  readonly store: MemoryStore;
  readonly clock: ReturnType<typeof createTestClock>;
  readonly run: (token: string, name: string, args?: string[], flags?: [string, string][]) => Promise<Run>;
}

async function stand(t: ExecutionContext): Promise<Stand> {
  const store = createMemoryStore();
  const clock = createTestClock();
  const app = fastify();
  await app.register(rebootLock, {
    store,
    policies: policiesOf({...webPolicy, slots: 2}),
    events: createEvents(),
    clock,
    random: () => 0.5,
    callerOf: request => {
      const role = roles[request.headers.authorization ?? ''];
      return role === undefined ? {kind: 'anonymous'} : {kind: 'operator', name: role, role};
    },
  });
  const server = await app.listen({host: '127.0.0.1', port: 0});
  t.teardown(() => app.close());
  const run: Stand['run'] = async (token, name, args = [], flags = []) => {
    const [out, err]: [string[], string[]] = [[], []];
    const context = contextOf({HAWSER_SERVER: server, HAWSER_TOKEN: token}, out, err);
    const code = await commandNamed(name).run(context, {args, flags: new Map(flags) satisfies FlagValues});
    return {code, out, err};
  };
  return {store, clock, run};
}

function commandNamed(name: string): Command {
  const command = lockCommands.find(each => each.name === name);
  if (command === undefined) throw new Error(`no command ${name}`);
  return command;
}

function contextOf(env: Record<string, string>, out: string[], err: string[]): CommandContext {
  return {
    env: {...env, HAWSER_HOME: '/nonexistent'},
    print: line => void out.push(line),
    warn: line => void err.push(line),
    progress: createProgress({isTTY: false, columns: 80, write: () => undefined}, () => 0),
    cwd: '/',
    signal: new AbortController().signal,
    interactive: false,
  };
}

test('ls shows who holds what, and why a group stands still', async t => {
  const {store, clock, run} = await stand(t);
  store.put('web', encodeLock(heldBy('a')));
  clock.time = later(700);
  const {code, out} = await run('vera', 'lock ls');
  t.is(code, 0);
  t.regex(out[0] ?? '', /^GROUP +SLOT +MACHINE +PHASE/);
  t.regex(out[1] ?? '', /^web +1\/2 +name-of-a +draining +1\.0\.0 +2\.0\.0 .* PASSED +100$/);
  t.regex(out[2] ?? '', /^web stands still: name-of-a should have been back/);
  const json = await run('vera', 'lock ls', [], [['output', 'json']]);
  t.like(JSON.parse(json.out[0] ?? ''), [{group: 'web', holders: [{machine: 'a', overdue: true}]}]);
});

test('release takes a slot away, with its reason in the audit log', async t => {
  const {store, run} = await stand(t);
  store.put('web', encodeLock(heldBy('a', 'b')));
  const {code, err} = await run('ada', 'lock release', ['web', 'name-of-a'], [['reason', 'burnt down']]);
  t.is(code, 0);
  t.regex(err.join('\n'), /name-of-a \(a\) held slot 1 of web since .*; it is free/);
  t.like(store.audit, [{actor: 'operator', group: 'web', machine: 'a', reason: 'burnt down'}]);
  const again = run('ada', 'lock release', ['web', 'name-of-a'], [['reason', 'again']]);
  t.regex((await t.throwsAsync(again)).message, /name-of-a holds no slot in group web/);
});

test('release is refused without a reason, without the role, and without a token', async t => {
  const {store, run} = await stand(t);
  store.put('web', encodeLock(heldBy('a')));
  const {revision} = await store.read();
  t.like(await t.throwsAsync(run('ada', 'lock release', ['web', 'a'])), {code: 'missing-argument'});
  const reason: [string, string][] = [['reason', 'x']];
  const refused = await t.throwsAsync(run('vera', 'lock release', ['web', 'a'], reason));
  t.regex(refused.message, /needs the role operator, not viewer/);
  t.like(await t.throwsAsync(run('', 'lock release', ['web', 'a'], reason)), {code: 'server-refused'});
  t.is((await store.read()).revision, revision);
});

test('a server that is away is said to be', async t => {
  const context = contextOf({HAWSER_SERVER: 'http://127.0.0.1:1'}, [], []);
  const asked = commandNamed('lock ls').run(context, {args: [], flags: new Map()});
  t.like(await t.throwsAsync(asked), {code: 'server-unreachable'});
});
