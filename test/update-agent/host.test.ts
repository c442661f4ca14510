/** The bundle that goes into the image, as the machine starts it, on a played host: see played-host.ts. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {exec} from '../../services/common/exec.ts';
import {playHost} from './played-host.ts';

test('update, proof, return, an unhealthy release, fall-back: by the program of the image', async t => {
  t.timeout(240_000);
  if (process.getuid?.() !== 0) {
    t.log('SKIPPED: a mount namespace needs root');
    t.pass();
    return;
  }
  const host = await playHost({log: line => t.log(line), after: work => t.teardown(work)});
  const {root, server, agent, boot, entries, count, calls} = host;
  t.regex((await agent('status')).stdout, /version {3}1\.0\.0 \(slot a\)/);
  server.wanted = {action: 'apply', version: '1.1.0'};
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi']);
  t.deepEqual(await calls(), ['hook drain', 'systemctl reboot --no-wall --no-block']);
  t.true(
    server.repositoryBytes > 0 && server.repositoryBytes < (await stat(host.image('1.1.0').usr)).size / 4,
  );
  const written = (await readFile(join(root, 'disk/vda4'))).subarray(0, host.usr('1.1.0').length);
  t.true(written.equals(host.usr('1.1.0')));

  await count('hawser_1.1.0+3.efi', 'hawser_1.1.0+2-1.efi');
  await boot('1.1.0', 4, 2);
  await agent('verdict');
  t.true(await stat(join(root, 'var/update/draining')).then(() => true), 'still out of service');
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0.efi']);
  t.deepEqual(server.lock, [
    'acquire 1.0.0 1.1.0',
    'phase draining',
    'phase rebooting',
    'phase proving',
    'phase returning',
    'release 1.1.0',
  ]);
  t.like(await calls(), ['systemctl start --no-block hawser-update.service', 'hook return']);
  await t.throwsAsync(stat(join(root, 'var/update/draining')), {code: 'ENOENT'});

  server.wanted = {action: 'apply', version: '1.2.0'};
  await agent('run');
  await count('hawser_1.2.0+3.efi', 'hawser_1.2.0+2-1.efi');
  await boot('1.2.0', 2, 3);
  await calls();
  const gate = exec(['timeout', '30', 'unshare', '--mount', 'sh', join(root, 'host.sh'), 'verdict'], {
    timeoutMs: 60_000,
    okCodes: [1, 124],
  });
  for (let waited = 0; waited < 60 && !(await entries()).includes('hawser_1.2.0+0-1.efi'); waited += 1)
    await new Promise(resolve => setTimeout(resolve, 500));
  t.deepEqual(await entries(), ['hawser_1.1.0.efi', 'hawser_1.2.0+0-1.efi'], 'marked bad');
  await gate;
  t.deepEqual(await calls(), ['systemctl reboot --no-wall --no-block']);

  await boot('1.1.0', 4, 4);
  await agent('run');
  t.deepEqual(await entries(), ['hawser_1.1.0.efi']);
  t.is(server.lock.at(-1), 'release 1.1.0');
  t.like(server.checks.at(-1)?.failed, [{version: '1.2.0', reason: 'unhealthy'}]);
  const acquired = server.lock.length;
  await agent('check');
  t.is(server.lock.length, acquired, 'not tried again');
  t.regex((await agent('history')).stdout, /fell-back {2}1\.2\.0 {2}the check 50-version failed/);
});
