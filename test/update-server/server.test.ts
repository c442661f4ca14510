/** `hawser server` whole: TLS, certificates, tokens, etcd of its own, enrolment, lock, repository, the commands. */
import {randomUUID} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {request} from 'node:https';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openStore} from '../../machine-drivers/store/store.ts';
import type {CommandContext} from '../../services/common/command.ts';
import {systemClock} from '../../services/common/clock.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {listParts} from '../../services/cli/parts.ts';
import {resolveRequest} from '../../services/cli/dispatch.ts';
import {openEnrolment} from '../../services/provisioner/enrolment/index.ts';
import {newKey, requestOf} from '../provisioner/enrolment/support.ts';
import {eventually, hash, report} from './support.ts';

interface Running {
  readonly home: string;
  readonly url: string;
  /** What the first start printed on standard output. */
  readonly printed: readonly string[];
  run(argv: string, env?: Record<string, string>): Promise<string[]>;
  stop(): Promise<number>;
}

async function home(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-server-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

function context(folder: string, signal: AbortSignal, env: Record<string, string>) {
  const printed: string[] = [];
  const warned: string[] = [];
  const value: CommandContext = {
    progress: silentProgress,
    print: line => void printed.push(line),
    warn: line => void warned.push(line),
    env: {PATH: process.env['PATH'], HAWSER_HOME: folder, ...env},
    cwd: folder,
    signal,
    interactive: false,
  };
  return {printed, warned, value};
}

async function command(folder: string, argv: string, env: Record<string, string>, signal: AbortSignal) {
  const lent = context(folder, signal, env);
  const found = await resolveRequest(listParts(), '0.0.0', argv.split(' '), lent.value.env);
  if (found.kind !== 'run') throw new Error(found.text);
  return {...lent, end: found.command.run(lent.value, found.input)};
}

async function start(t: ExecutionContext, folder: string): Promise<Running> {
  const stop = new AbortController();
  const {warned, printed, end} = await command(
    folder,
    'server --listen 127.0.0.1:0 --log-level silent --server-name updates.example.com',
    {},
    stop.signal,
  );
  let ended = false;
  void end.catch(() => undefined).finally(() => (ended = true));
  t.teardown(async () => {
    stop.abort();
    await end.catch(() => undefined);
  });
  const address = () => warned.map(line => /hawser server on (https:\S+),/.exec(line)?.[1]).find(Boolean);
  await eventually(() => address() !== undefined || ended, 90_000);
  if (address() === undefined) await end;
  return {
    home: folder,
    url: address() ?? '',
    printed,
    run: async (argv, env = {}) => {
      const each = await command(folder, argv, env, AbortSignal.timeout(60_000));
      const code = await each.end;
      if (code !== 0) throw new Error(`exit code ${code}`);
      return each.printed;
    },
    stop: async () => {
      stop.abort();
      return end;
    },
  };
}

/** A machine that has its certificate from this server's own enrolment. */
async function enrolled(running: Running, name: string) {
  const enrolment = await openEnrolment({home: running.home, clock: systemClock});
  const uuid = randomUUID();
  const config = await enrolment.issue({machine: uuid, name, generation: 1, lifetimeSeconds: 600});
  const key = newKey();
  const ca = await enrolment.caPem();
  const grant = (await call(running.url, {ca}, 'POST', '/v1/enrol', requestOf(config, key))).body;
  return {
    uuid,
    ca,
    key: String(key.export({type: 'pkcs8', format: 'pem'})),
    cert: String(grant['certificate']),
  };
}

function call(
  url: string,
  tls: {readonly ca: string; readonly key?: string; readonly cert?: string},
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<{status: number; body: Record<string, unknown>; text: string}> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, url),
      {
        ...tls,
        method,
        agent: false,
        servername: 'server.hawser.internal',
        headers: {...(body === undefined ? {} : {'content-type': 'application/json'}), ...headers},
      },
      incoming => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () => {
          let parsed: Record<string, unknown> = {};
          try {
            parsed = JSON.parse(text) as Record<string, unknown>;
          } catch {
            // Not every page is JSON.
          }
          resolve({status: incoming.statusCode ?? 0, body: parsed, text});
        });
      },
    );
    outgoing.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

interface Described {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly responses?: Readonly<Record<string, unknown>>;
}

/** Every route says what it does, who may call it and what it answers. */
function checkDescription(t: ExecutionContext, openapi: Record<string, unknown>): void {
  t.is(openapi['openapi'], '3.1.0');
  const paths = openapi['paths'] as Readonly<Record<string, Readonly<Record<string, Described>>>>;
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({name: `${method} ${path}`, ...described})),
  );
  t.true(routes.length > 30, `${routes.length} routes`);
  t.like(openapi['components'], {
    securitySchemes: {token: {scheme: 'bearer'}, certificate: {type: 'mutualTLS'}},
  });
  for (const {name, summary, tags, security, responses} of routes) {
    t.true((summary ?? '').length > 5 && tags?.length === 1, name);
    t.true(Object.hasOwn(responses ?? {}, '200') || Object.hasOwn(responses ?? {}, '204'), name);
    t.true(Array.isArray(security), name);
  }
  const byName = new Map(routes.map(route => [route.name, route.security]));
  t.deepEqual(byName.get('post /v1/check'), [{certificate: []}]);
  t.deepEqual(byName.get('post /v1/lock/acquire'), [{certificate: []}]);
  t.deepEqual(byName.get('post /v1/enrol'), []);
  t.deepEqual(byName.get('get /v1/fleet'), [{token: []}]);
  t.deepEqual(byName.get('get /v1/machines/{machine}'), [{token: []}, {certificate: []}]);
}

test('from the first start to a rollout, by the commands and by a machine with its certificate', async t => {
  const folder = await home(t);
  await mkdir(join(folder, 'repository', 'payloads'), {recursive: true});
  await writeFile(join(folder, 'repository', 'payloads', 'abc'), '0123456789');
  const running = await start(t, folder);
  const {url} = running;
  t.is((await stat(join(folder, 'server', 'login.json'))).mode & 0o777, 0o600);
  t.is(running.printed.length, 1, 'the one-time token, and nothing else');

  const machine = await enrolled(running, 'web-1');
  const {uuid, ca} = machine;
  const check = (over: object = {}) =>
    call(url, machine, 'POST', '/v1/check', {...report({name: 'web-1'}), ...over});
  t.like((await check()).body, {action: 'none', reason: 'the channel stable offers nothing yet'});
  t.deepEqual(
    (await running.run('fleet machines --output json')).map(line => JSON.parse(line)[0].uuid),
    [uuid],
  );

  // Strangers, stolen identities, unknown CAs.
  t.is((await call(url, {ca}, 'POST', '/v1/check', report())).status, 401);
  t.is((await call(url, {ca}, 'GET', '/v1/fleet')).status, 401);
  t.is(
    (await call(url, {ca}, 'GET', '/v1/fleet', undefined, {authorization: 'Bearer hawser_x'})).status,
    401,
  );
  t.is((await call(url, machine, 'GET', '/v1/fleet')).status, 403);
  t.is((await check({uuid: randomUUID()})).status, 403);
  const otherHome = await home(t);
  const foreign = await openEnrolment({home: otherHome, clock: systemClock});
  const foreignConfig = await foreign.issue({
    machine: uuid,
    name: 'web-1',
    generation: 1,
    lifetimeSeconds: 600,
  });
  const foreignKey = newKey();
  const foreignGrant = await foreign.accept(JSON.stringify(requestOf(foreignConfig, foreignKey)), {
    machine: uuid,
    hostKeySeen: requestOf(foreignConfig, foreignKey).sshHostKey,
  });
  const forged = {
    ca,
    cert: foreignGrant.certificate,
    key: String(foreignKey.export({type: 'pkcs8', format: 'pem'})),
  };
  t.is((await call(url, forged, 'POST', '/v1/check', report({name: 'web-1'}))).status, 401);

  // A release is made known and promoted by the API, as hawser release promote does.
  const login = JSON.parse(await readFile(join(folder, 'server', 'login.json'), 'utf8')) as {token: string};
  const authorization = {authorization: `Bearer ${login.token}`};
  const facts = {version: '2.0.0', rootHash: hash('2.0.0'), created: '2026-03-01T00:00:00Z', barrier: false};
  t.is((await call(url, {ca}, 'PUT', '/v1/releases/2.0.0', facts, authorization)).status, 200);
  const promoted = await call(
    url,
    {ca},
    'POST',
    '/v1/channels/stable/promote',
    {version: '2.0.0'},
    authorization,
  );
  t.is(promoted.status, 200, promoted.text);
  await eventually(async () => (await check()).body['action'] === 'apply');

  // The lock: granted, seen in status, given back.
  const acquired = await call(url, machine, 'POST', '/v1/lock/acquire', {
    from: '1.0.0',
    to: '2.0.0',
    expectedSeconds: 600,
    clusters: [],
  });
  t.is(acquired.status, 200, acquired.text);
  await check({phase: 'draining', staged: '2.0.0'});
  t.regex(
    (await running.run('fleet status')).join('\n'),
    /web-1 +default +1\.0\.0 +a +draining +2\.0\.0 +1 +- +held/,
  );

  // It comes back on the old release: the failure stops the rollout, and the lock stands still.
  const fence = acquired.body['fence'];
  await call(url, machine, 'POST', '/v1/lock/phase', {fence, phase: 'rebooting'});
  const released = await call(url, machine, 'POST', '/v1/lock/release', {
    fence,
    version: '1.0.0',
    healthy: true,
  });
  t.deepEqual([released.status, released.body['outcome']], [200, 'failed']);
  t.regex((await running.run('rollout show default')).join('\n'), /stopped .*failed on web-1/);
  t.regex(String((await check()).body['reason']), /rollout stopped: failed on web-1/);

  // Static files by range, figures, the description of the API.
  const range = await call(url, {ca}, 'GET', '/repository/payloads/abc', undefined, {range: 'bytes=2-4'});
  t.deepEqual([range.status, range.text], [206, '234']);
  t.is((await call(url, {ca}, 'GET', '/repository/../server/login.json')).status, 404);
  t.regex((await call(url, {ca}, 'GET', '/metrics')).text, /hawser_machines\{version="1\.0\.0"\} 1/);
  const {body: openapi} = await call(url, {ca}, 'GET', '/openapi.json');
  checkDescription(t, openapi);

  // Forgotten: refused everywhere.
  await running.run('fleet forget web-1');
  t.deepEqual([(await check()).status, (await check()).body['kind']], [403, 'forgotten']);
  t.not(
    (
      await call(url, machine, 'POST', '/v1/lock/acquire', {
        from: '1.0.0',
        to: '2.0.0',
        expectedSeconds: 600,
        clusters: [],
      })
    ).status,
    200,
  );

  t.is(await running.stop(), 0);
  await t.throwsAsync(() => running.run('fleet status'), {code: 'server-unreachable'});
});

test('a stolen certificate acts for its own machine alone, until that is forgotten', async t => {
  const running = await start(t, await home(t));
  const {url} = running;
  const [victim, thief] = [await enrolled(running, 'web-1'), await enrolled(running, 'web-2')];
  const check = (who: typeof victim, over: object) =>
    call(url, who, 'POST', '/v1/check', {...report(over), ...over});
  for (const [who, name] of [
    [victim, 'web-1'],
    [thief, 'web-2'],
  ] as const)
    t.is((await check(who, {name})).status, 200);
  const acquire = {from: '1.0.0', to: '2.0.0', expectedSeconds: 600, clusters: []};
  const granted = await call(url, victim, 'POST', '/v1/lock/acquire', acquire);
  const {fence} = granted.body;
  t.is(granted.status, 200);
  const locks = async () => (await running.run('lock ls --output json')).join('\n');

  // The thief knows all: name, UUID and fence of the other machine.
  const {uuid} = victim;
  const tried: readonly [string, string, object | undefined, number][] = [
    ['POST', '/v1/check', {...report({name: 'web-1'})}, 403],
    ['POST', '/v1/check', {...report({name: 'web-2'}), uuid}, 403],
    ['POST', '/v1/lock/acquire', acquire, 409],
    ['POST', '/v1/lock/phase', {fence, phase: 'rebooting'}, 409],
    ['POST', '/v1/lock/release', {fence, version: '2.0.0', healthy: true}, 200],
    ['POST', '/v1/pre-reboot', {client_params: {id: uuid, group: 'default'}}, 403],
    ['POST', '/v1/steady-state', {client_params: {id: uuid, group: 'default'}}, 403],
    ['POST', '/v1/locks/default/release', {machine: uuid, reason: 'mine'}, 403],
    ['POST', '/v1/locks/gone', {machine: uuid}, 403],
    ['GET', '/v1/locks', undefined, 403],
    ['GET', '/v1/machines/web-1', undefined, 403],
    ['GET', '/v1/machines/web-1/events', undefined, 403],
    ['PATCH', '/v1/machines/web-1', {pin: '1.0.0'}, 403],
    ['DELETE', '/v1/machines/web-1', undefined, 403],
    ['GET', '/v1/fleet', undefined, 403],
    ['GET', '/v1/audit', undefined, 403],
    [
      'PUT',
      '/v1/releases/3.0.0',
      {version: '3.0.0', rootHash: hash('3'), created: '2026-03-01T00:00:00Z', barrier: false},
      403,
    ],
    ['POST', '/v1/channels/stable/promote', {version: '2.0.0'}, 403],
    ['POST', '/v1/rollouts/default/abort', {}, 403],
    ['GET', '/v1/tokens', undefined, 403],
  ];
  for (const [method, path, body, status] of tried) {
    const headers = path.includes('-') ? {'fleet-lock-protocol': 'true'} : {};
    t.is((await call(url, thief, method, path, body, headers)).status, status, `${method} ${path}`);
  }
  t.true((await locks()).includes(uuid), 'the other machine holds what it held');
  t.is((await call(url, victim, 'POST', '/v1/lock/phase', {fence, phase: 'rebooting'})).status, 204);

  await running.run('fleet forget web-2');
  t.deepEqual((await check(thief, {name: 'web-2'})).body['kind'], 'forgotten');
  t.is((await call(url, thief, 'POST', '/v1/lock/acquire', acquire)).status === 200, false);
  t.is((await check(victim, {name: 'web-1', phase: 'rebooting'})).status, 200);
});

test('tokens: the one-time token logs in once, roles are kept, a removed token is worth nothing', async t => {
  const running = await start(t, await home(t));
  const [oneTime = ''] = running.printed;
  const ca = join(running.home, 'ca', 'ca.pem');
  const laptop = await home(t);
  const on = async (argv: string, env: Record<string, string> = {}) => {
    const each = await command(laptop, argv, env, AbortSignal.timeout(60_000));
    t.is(await each.end, 0);
    return each.printed;
  };
  await t.throwsAsync(() => on('channel ls'), {code: 'no-server'});
  await on(`login ${running.url} --ca ${ca}`, {HAWSER_TOKEN: oneTime});
  t.regex((await on('channel ls')).join('\n'), /stable/);
  await t.throwsAsync(() => on(`login ${running.url} --ca ${ca}`, {HAWSER_TOKEN: oneTime}), {
    code: 'server-refused',
  });
  const fingerprint = 'ab'.repeat(32);
  await t.throwsAsync(
    () => on(`login ${running.url} --ca-fingerprint ${fingerprint}`, {HAWSER_TOKEN: oneTime}),
    {
      code: 'server-untrusted',
    },
  );

  const [viewer = ''] = await on('server token create --role viewer --name eve');
  const eve = {HAWSER_SERVER: running.url, HAWSER_CA: ca, HAWSER_TOKEN: viewer};
  t.regex((await on('group ls', eve)).join('\n'), /default/);
  await t.throwsAsync(() => on('channel set beta', eve), {
    code: 'server-refused',
    message: /needs the role operator/,
  });
  const tokens = JSON.parse((await on('server token ls --output json')).join('')) as {
    id: string;
    name: string;
  }[];
  await on(`server token rm ${tokens.find(({name}) => name === 'eve')?.id ?? ''}`);
  await t.throwsAsync(() => on('group ls', eve), {code: 'server-refused'});
  t.false(
    JSON.stringify(tokens).includes(viewer.slice('hawser_0123456789abcdef_'.length)),
    'no secret is ever listed',
  );
});

test('a group file with a slip is refused with its place; one without is set and shown', async t => {
  const running = await start(t, await home(t));
  const file = join(running.home, 'web.yaml');
  await writeFile(file, 'channel: stable\nwaves:\n  - share: 10\n  - shar: 50\n');
  await t.throwsAsync(() => running.run(`group set web ${file}`), {
    message: /web\.yaml:4:5: .*no such field/,
  });
  await writeFile(
    file,
    'channel: stable\nwindows:\n  - {start: 0 2 * * *, minutes: 60, zone: Europe/Atlantis}\n',
  );
  await t.throwsAsync(() => running.run(`group set web ${file}`), {
    message: /"Europe\/Atlantis" is not a time zone/,
  });
  await writeFile(file, 'channel: stable\nwaves:\n  - share: 10\n  - share: 50\n');
  await running.run(`group set web ${file}`);
  t.is(
    (await running.run('group show web')).join('\n'),
    'channel: stable\nwaves:\n  - share: 10\n  - share: 50',
  );
});

test('a second server in one home is refused; started again, it knows everything and prints no token', async t => {
  const folder = await home(t);
  const first = await start(t, folder);
  await first.run('channel set beta');
  await t.throwsAsync(() => start(t, folder), {code: 'in-use'});
  await first.stop();
  const second = await start(t, folder);
  t.deepEqual(second.printed, []);
  t.regex((await second.run('channel ls')).join('\n'), /beta/);
});

test('the slot of a machine that this home removed is freed by the server itself, and the audit tells it', async t => {
  const folder = await home(t);
  const first = await start(t, folder);
  const machine = await enrolled(first, 'web-1');
  await call(first.url, machine, 'POST', '/v1/check', report({name: 'web-1'}));
  const wish = {from: '1.0.0', to: '2.0.0', expectedSeconds: 600, clusters: []};
  t.is((await call(first.url, machine, 'POST', '/v1/lock/acquire', wish)).status, 200);
  t.regex((await first.run('lock ls')).join('\n'), /web-1/);
  await first.stop();

  const store = await openStore(folder, systemClock);
  await store.noteRemoved({uuid: machine.uuid, name: 'web-1'});
  const second = await start(t, folder);
  await eventually(async () => !(await second.run('lock ls')).join('\n').includes('web-1'));
  t.regex(
    (await second.run('fleet audit --limit 3')).join('\n'),
    new RegExp(
      `watchdog +lock-freed-machine-gone +locks/default +${machine.uuid} +the machine exists no more`,
    ),
  );
});
