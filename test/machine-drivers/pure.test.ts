/** The parts that are data in, data out. */
import {readFile} from 'node:fs/promises';
import test from 'ava';
import * as fc from 'fast-check';
import {lastLine} from '../../machine-drivers/console.ts';
import {fleetWire, macAddress, wireAddress} from '../../machine-drivers/drivers/qemu/identity.ts';
import {parsePublish, parseSize} from '../../machine-drivers/drivers/qemu/settings.ts';
import {parsePortRange, portOrder} from '../../machine-drivers/forwarded-ports.ts';
import {renderFormat, renderTable} from '../../machine-drivers/format/listing.ts';
import {engineFiles, imageDaemonConfig} from '../../machine-drivers/engine-options.ts';
import {parseStatus} from '../../machine-drivers/upgrade.ts';
import {matches} from '../../machine-drivers/listing.ts';
import type {Row} from '../../machine-drivers/listing.ts';
import {checkMachineName, compareNames, isMachineName} from '../../machine-drivers/names.ts';
import {parseFilter} from '../../machine-drivers/commands/list.ts';
import {recordedHostKey, sshArguments, sshConfigBlock} from '../../machine-drivers/ssh/connection.ts';
import {parseCopyPlace} from '../../machine-drivers/ssh/copy-place.ts';

const target = {
  address: {host: '127.0.0.1', port: 20_200},
  user: 'core',
  hostKeyAlias: '5f0c1a52-0000-4000-8000-000000000001',
  folder: '/home/a b/100%/web',
};

test('names: what docker-machine allows and a host name can be', t => {
  for (const good of ['a', 'default', 'node-1', 'Web.example', '9lives', 'a'.repeat(63)])
    t.true(isMachineName(good), good);
  for (const bad of [
    '',
    '-a',
    '.a',
    'a_b',
    'a b',
    'a/b',
    '..',
    'a-',
    'a.',
    'a..b',
    '10',
    '1.2',
    'a'.repeat(64),
    'ä',
    'a\n',
  ]) {
    t.false(isMachineName(bad), bad);
  }
  const error = t.throws(() => checkMachineName('a/../b'), {code: 'bad-name'});
  t.regex(error.message, /"a\/\.\.\/b" cannot name a machine/);
});

test('names sort as people count', t => {
  t.deepEqual(['n10', 'n9', 'a', 'n1'].sort(compareNames), ['a', 'n1', 'n9', 'n10']);
});

const uuid = fc.uuid();

test('what derives from a UUID is the same each time and of the right form', t => {
  fc.assert(
    fc.property(uuid, id => {
      t.regex(macAddress(id, 0), /^52:54:00(:[0-9a-f]{2}){3}$/);
      t.not(macAddress(id, 0), macAddress(id, 1));
      t.is(macAddress(id, 1), macAddress(id, 1));
      const wire = fleetWire(id);
      t.regex(wire.group, /^239\.255\.\d{1,3}\.\d{1,3}$/);
      t.true(wire.port >= 30_000 && wire.port < 40_000);
    }),
  );
});

test('an address on the wire is free, inside the network, and neither its first nor its last', t => {
  fc.assert(
    fc.property(uuid, fc.integer({min: 0, max: 300}), (id, occupied) => {
      const taken = new Set<string>();
      for (let count = 0; count < occupied; count++) taken.add(wireAddress(id, taken) ?? '');
      const address = wireAddress(id, taken) ?? '';
      t.false(taken.has(address));
      const [a, b, c, d] = address.split('.').map(Number);
      t.deepEqual([a, b], [10, 86]);
      t.true(c !== undefined && d !== undefined && c >= 1 && c <= 255 && d >= 0 && d <= 255);
      t.not(address, '10.86.255.255');
    }),
    {numRuns: 30},
  );
});

test('a full wire has no address', t => {
  const all = new Set(Array.from({length: 65_536}, (_, host) => `10.86.${host >> 8}.${host & 255}`));
  t.is(wireAddress('x', all), undefined);
});

test('every port of a range is tried once', t => {
  fc.assert(
    fc.property(
      uuid,
      fc.integer({min: 1, max: 60_000}),
      fc.integer({min: 0, max: 300}),
      (id, first, more) => {
        const order = portOrder(id, first, first + more);
        t.is(order.length, more + 1);
        t.deepEqual(
          [...order].sort((a, b) => a - b),
          Array.from({length: more + 1}, (_, index) => first + index),
        );
      },
    ),
  );
});

test('disk sizes and port ranges', t => {
  t.is(parseSize('20G'), 20 * 2 ** 30);
  t.is(parseSize('512m'), 512 * 2 ** 20);
  t.is(parseSize('1TiB'), 2 ** 40);
  t.is(parseSize('20000'), 20_000 * 2 ** 20);
  for (const bad of ['', '0', '0G', '-1G', '1.5G', 'G', '1K', 'lots'])
    t.throws(() => parseSize(bad), {code: 'bad-setting'}, bad);
  t.deepEqual(parsePortRange('qemu-ports', '1000-2000'), {first: 1000, last: 2000});
  t.deepEqual(parsePublish('8080:80'), {host: 8080, guest: 80});
  t.deepEqual(parsePublish('443'), {host: 443, guest: 443});
  for (const bad of ['', 'x', '0:80', '80:0', '65536', '1:2:3', ':80', '80:'])
    t.throws(() => parsePublish(bad), {code: 'bad-setting'}, bad);
  for (const bad of ['', '1000', '2000-1000', '0-5', '1-65536', 'a-b'])
    t.throws(() => parsePortRange('qemu-ports', bad), {code: 'bad-setting'}, bad);
});

test('ssh checks the host key under the UUID, takes only the machine’s key, and reads nobody’s configuration', t => {
  const words = sshArguments(target, {proven: true, batch: true});
  t.deepEqual(words.slice(0, 3), ['ssh', '-F', '/dev/null']);
  t.deepEqual(words.slice(-5), ['-p', '20200', '-l', 'core', '127.0.0.1']);
  for (const setting of [
    'StrictHostKeyChecking=yes',
    `HostKeyAlias=${target.hostKeyAlias}`,
    'IdentitiesOnly=yes',
    'GlobalKnownHostsFile=/dev/null',
    'UserKnownHostsFile="/home/a b/100%%/web/known_hosts"',
    'IdentityFile="/home/a b/100%%/web/id_ed25519"',
    'BatchMode=yes',
  ]) {
    t.is(words[words.indexOf(setting) - 1], '-o', setting);
  }
});

test('before the host key is proven it goes to a file of its own', t => {
  const words = sshArguments(target, {proven: false, batch: true}).join('\n');
  t.regex(words, /StrictHostKeyChecking=accept-new/);
  t.regex(words, /known_hosts\.unverified"/);
  t.notRegex(words, /known_hosts"/);
});

test('scp’s configuration says the same as ssh’s arguments', t => {
  const block = sshConfigBlock('web', target);
  t.regex(block, /^Host web\n {2}HostName 127\.0\.0\.1\n {2}Port 20200\n {2}User core\n/);
  t.regex(block, /\n {2}StrictHostKeyChecking yes\n/);
  t.regex(block, /\n {2}IdentityFile "\/home\/a b\/100%%\/web\/id_ed25519"\n/);
});

test('the recorded host key is the alias’s own', t => {
  const file = '# comment\nother ssh-ed25519 AAAAother\nme ssh-ed25519 AAAAmine comment\n';
  t.is(recordedHostKey(file, 'me'), 'ssh-ed25519 AAAAmine');
  t.is(recordedHostKey(file, 'nobody'), undefined);
  t.is(recordedHostKey('', 'me'), undefined);
});

test('the ends of a copy', t => {
  t.deepEqual(parseCopyPlace('web:/etc/hosts'), {machine: 'web', argument: 'web:/etc/hosts'});
  t.deepEqual(parseCopyPlace('root@web:'), {machine: 'web', argument: 'root@web:'});
  t.deepEqual(parseCopyPlace('web:a:b'), {machine: 'web', argument: 'web:a:b'});
  t.deepEqual(parseCopyPlace('./a:b'), {argument: './a:b'});
  t.deepEqual(parseCopyPlace('plain'), {argument: 'plain'});
  t.deepEqual(parseCopyPlace('-r'), {argument: './-r'});
  t.throws(() => parseCopyPlace('-oProxyCommand=x:y'), {code: 'bad-name'});
});

test('the console’s last line, without what only a terminal understands', t => {
  t.is(lastLine(''), '');
  t.is(lastLine('one\ntwo\r\n\n'), 'two');
  t.is(lastLine('\u001B[0;32m  OK  \u001B[0m Started \u001B[1mx\u001B[0m.\r\n'), 'OK   Started x.');
  t.is(lastLine('\u001B]0;title\u0007text\n\u001B[2J\u001B[H\n'), 'text');
  fc.assert(
    fc.property(fc.string({unit: 'binary'}), text => {
      const line = lastLine(text);
      // oxlint-disable-next-line no-control-regex
      t.notRegex(line, /[\u0000-\u001F\u007F]/);
      t.true(line.length <= 120);
    }),
  );
});

const row: Row = {
  name: 'web',
  active: true,
  driver: 'qemu',
  state: 'Running',
  url: 'tcp://127.0.0.1:20201',
  docker: 'v26.1.5',
  error: '',
  labels: {tier: 'front'},
  responseMs: 12,
};

test('the table has docker-machine’s columns', t => {
  t.deepEqual(renderTable([]), ['NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS']);
  t.deepEqual(
    renderTable([
      row,
      {
        ...row,
        name: 'a-longer-name',
        active: false,
        state: 'Stopped',
        url: '',
        docker: 'Unknown',
        error: 'it\nbroke',
      },
    ]),
    [
      'NAME            ACTIVE   DRIVER   STATE     URL                     SWARM   DOCKER    ERRORS',
      'web             *        qemu     Running   tcp://127.0.0.1:20201           v26.1.5',
      'a-longer-name   -        qemu     Stopped                                   Unknown   it broke',
    ],
  );
});

test('templates over the fields of ls, with and without a table', t => {
  t.deepEqual(renderFormat('{{.Name}}\\t{{.DriverName}}', [row]), ['web\tqemu']);
  t.deepEqual(renderFormat('table {{.Name}}\\t{{.State}}', [row, {...row, name: 'a-longer-name'}]), [
    'NAME            STATE',
    'web             Running',
    'a-longer-name   Running',
  ]);
  t.deepEqual(
    renderFormat('{{json .EngineOptions.Labels}} {{.ResponseTime}} {{if .ActiveHost}}!{{end}}', [row]),
    ['["tier=front"] 12ms !'],
  );
  t.throws(() => renderFormat('{{.Nmae}}', [row]), {code: 'bad-setting'});
  t.throws(() => renderFormat('{{.Name', []), {code: 'bad-setting'});
});

test('filters: either within a key, both across keys', t => {
  const filters = (...texts: string[]) => texts.map(parseFilter);
  t.true(matches(row, []));
  t.true(matches(row, filters('name=^w')));
  t.true(matches(row, filters('name=^x', 'name=eb$')));
  t.false(matches(row, filters('name=^w', 'state=stopped')));
  t.true(matches(row, filters('state=running', 'driver=QEMU')));
  t.true(matches(row, filters('label=tier=front')));
  t.true(matches(row, filters('label=tier')));
  t.false(matches(row, filters('label=tier=back')));
  t.false(matches(row, filters('swarm=main')));
  t.throws(() => parseFilter('colour=red'));
  t.throws(() => parseFilter('name=('));
  t.throws(() => parseFilter('name'));
});

test('what the host says of its updates is read', t => {
  const text = [
    'version   1.2.0 (slot b, not proven yet)',
    'root hash abc',
    'phase     proving',
    'waits for the reboot lock',
    'failed    1.3.0 at 2026-11-25T00:00:00Z: unhealthy (docker)',
  ].join('\n');
  t.deepEqual(parseStatus(text), {
    version: '1.2.0',
    proven: false,
    phase: 'proving',
    waitsFor: 'the reboot lock',
    failed: ['1.3.0 at 2026-11-25T00:00:00Z: unhealthy (docker)'],
  });
  t.true(parseStatus('version   1.2.0 (slot a)\nphase     idle').proven);
  t.throws(() => parseStatus('hawserctl: no such command'), {code: 'driver-failed'});
});

const noEngine = {options: [], environment: [], labels: [], insecureRegistries: [], registryMirrors: []};

test('docker-machine’s engine flags become daemon.json and a drop-in, over what the image has', async t => {
  const image = new URL('../../image-build/files/usr/share/hawser/etc/docker/daemon.json', import.meta.url);
  t.deepEqual(imageDaemonConfig, JSON.parse(await readFile(image, 'utf8')));
  t.deepEqual(engineFiles(noEngine), []);
  const [daemon, dropIn] = engineFiles({
    options: [
      'dns=10.0.0.1',
      'dns=10.0.0.2',
      'mtu=1400',
      'icc=false',
      'userland-proxy',
      'log-driver=journald',
    ],
    environment: ['HTTP_PROXY=http://proxy:3128/%20"x"'],
    labels: ['tier=front'],
    insecureRegistries: ['10.0.0.0/8'],
    registryMirrors: ['https://mirror'],
    storageDriver: 'btrfs',
  });
  const {'log-opts': _, ...kept} = imageDaemonConfig;
  t.is(daemon?.path, '/etc/docker/daemon.json');
  t.deepEqual(JSON.parse(daemon?.contents ?? ''), {
    ...kept,
    dns: ['10.0.0.1', '10.0.0.2'],
    mtu: 1400,
    icc: false,
    'userland-proxy': true,
    'log-driver': 'journald',
    labels: ['tier=front'],
    'insecure-registries': ['10.0.0.0/8'],
    'registry-mirrors': ['https://mirror'],
    'storage-driver': 'btrfs',
  });
  t.is(dropIn?.contents, '[Service]\nEnvironment="HTTP_PROXY=http://proxy:3128/%%20\\"x\\""\n');
  for (const options of [['tlsverify'], ['host=tcp://0.0.0.0'], ['='], ['Bad Name=1']])
    t.throws(() => engineFiles({...noEngine, options}), {code: 'bad-setting'}, options[0]);
  t.throws(() => engineFiles({...noEngine, environment: ['no value']}), {code: 'bad-setting'});
});
