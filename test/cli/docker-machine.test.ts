/** The command under docker-machine's name, as its scripts call it. */
import {mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {asHawser} from '../../services/cli/docker-machine.ts';
import {exec} from '../../services/common/exec.ts';
import {environmentOf, launcher} from '../support/cli.ts';

test('linked as docker-machine, it takes that program’s command line, variables and exit codes', async t => {
  const home = await mkdtemp(join(tmpdir(), 'hawser-dm-'));
  t.teardown(() => rm(home, {recursive: true, force: true}));
  await symlink(launcher, join(home, 'docker-machine'));
  const {HAWSER_HOME: _, ...env} = environmentOf(home);
  const run = (...words: string[]) =>
    exec([join(home, 'docker-machine'), ...words], {
      timeoutMs: 30_000,
      okCodes: [0, 1, 3],
      env: {...env, MACHINE_STORAGE_PATH: join(home, 'store')},
    });
  t.regex((await run('--version')).stdout, /^docker-machine version \d+\.\d+\.\d+\n$/);
  t.regex((await run()).stdout, /machine create/);
  t.is((await run('-D', '--native-ssh', '--github-api-token', 'x', 'ls', '-q')).stdout, '');
  t.is((await run('ls')).stdout, 'NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n');
  const nobody = await run('status', 'nobody');
  t.deepEqual([nobody.code, nobody.stdout], [1, '']);
  t.regex(nobody.stderr, /Docker machine "nobody" does not exist/);
  const none = await run('active');
  t.deepEqual([none.code, none.stdout], [1, '']);
  t.regex(none.stderr, /No active host found/);
  // Its default driver, which is not installed here: a failed check has exit code 3.
  const created = await run('create', '--virtualbox-program', '/nowhere/VBoxManage', 'web');
  t.is(created.code, 3, created.stderr);
  t.regex(created.stderr, /VBoxManage not found/);
  const swarm = await run('create', '--swarm', '--swarm-discovery', 'token://x', 'web');
  t.is(swarm.code, 1);
  t.regex(swarm.stderr, /--swarm is not taken: standalone Swarm is gone/);
  t.is((await run('ls', '-q')).stdout, '');
});

test('global flags are ours, or refused with a reason', t => {
  const of = (...words: string[]) => asHawser(words, {MACHINE_DRIVER: 'openstack'});
  t.deepEqual(of('ls').argv, ['machine', 'ls']);
  t.deepEqual(of('-D', 'ls').argv, ['--debug', 'machine', 'ls']);
  t.deepEqual(of('help', 'create').argv, ['machine', 'create', '--help']);
  t.is(of('-s', '/srv/m', 'ls').env['HAWSER_HOME'], '/srv/m');
  t.is(of('--storage-path=/srv/m', 'ls').env['HAWSER_HOME'], '/srv/m');
  t.is(of('ls').env['HAWSER_DRIVER'], 'openstack');
  t.is(asHawser(['ls'], {}).env['HAWSER_DRIVER'], 'virtualbox');
  t.throws(() => of('--tls-ca-cert', 'x', 'ls'), {message: /--tls-ca-cert is not taken/});
  t.throws(() => of('--colour', 'ls'), {message: /no flag --colour/});
  t.throws(() => of('-s'), {message: /needs a value/});
});
