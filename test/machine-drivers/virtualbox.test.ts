/** What VirtualBox is known to do wrong, and what users type wrong. */
import {randomUUID} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {ExecutionContext} from 'ava';
import {openFat} from '../../image-build/formats/fat.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {
  freeAddress,
  isInDefaultRange,
  parseCidr,
  sameNetwork,
} from '../../machine-drivers/drivers/virtualbox/cidr.ts';
import {configDisk, configDiskCapacity} from '../../machine-drivers/drivers/virtualbox/config-disk.ts';
import {virtualboxDriver} from '../../machine-drivers/drivers/virtualbox/index.ts';
import {
  parseHostOnlyAdapters,
  parseMachineInfo,
  stateOf,
} from '../../machine-drivers/drivers/virtualbox/machine-info.ts';
import type {MachineError} from '../../machine-drivers/errors.ts';
import {findStrays, removeStray} from '../../machine-drivers/gc.ts';
import {removeMachine, startMachine, stopMachine} from '../../machine-drivers/lifecycle.ts';
import {loadMachine} from '../../machine-drivers/machine.ts';
import type {MachineDeps} from '../../machine-drivers/machine.ts';
import {observeStored} from '../../machine-drivers/observation.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';
import {standInVirtualBox} from './support/virtualbox.ts';
import type {StandIn} from './support/virtualbox.ts';

const quiet = {progress: silentProgress, warn: () => undefined};

interface Bench {
  readonly vbox: StandIn;
  readonly deps: MachineDeps;
  readonly create: (
    name: string,
    flags?: Readonly<Record<string, string | boolean | number>>,
  ) => Promise<void>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await temporaryFolder(t);
  const vbox = await standInVirtualBox(home);
  const deps = await stubDeps(home, [virtualboxDriver]);
  const create: Bench['create'] = async (name, flags) =>
    createMachine(
      deps,
      {name, driver: 'virtualbox', settings: await vbox.settings(flags), seconds: 5},
      silentProgress,
    );
  return {vbox, deps, create};
}

test.serial('a machine boots by UEFI, from SATA, with the configuration on a second disk', async t => {
  const {vbox, create} = await bench(t);
  await create('web', {'virtualbox-memory': 2048, 'virtualbox-cpu-count': 2});
  const [vm] = (await vbox.state()).vms;
  t.is(vm?.settings['firmware'], 'efi');
  t.is(vm?.settings['memory'], '2048');
  t.is(vm?.settings['cpus'], '2');
  t.deepEqual(Object.keys(vm?.controllers['SATA'] ?? {}), ['0', '1']);
  t.is(vm?.settings['nic1'], 'nat');
  t.is(vm?.settings['nic2'], undefined);
  t.regex(vm?.forwards['ssh'] ?? '', /^ssh,tcp,127\.0\.0\.1,\d+,,22$/);
});

test.serial('a refusal with exit code 0 is a refusal', async t => {
  const {vbox, deps, create} = await bench(t);
  await create('one');
  await vbox.change(state => {
    state.odd = {codeZero: true, noVmx: true};
  });
  const error = await t.throwsAsync(create('two'), {code: 'driver-failed'});
  t.regex(error?.message ?? '', /VT-x is not available/);
  t.deepEqual(await deps.store.names(), ['one']);
  t.is((await vbox.state()).vms.length, 1);
});

test.serial('an object that stays not ready is reported, after some patience', async t => {
  const {vbox, create} = await bench(t);
  await vbox.change(state => {
    state.odd = {notReady: 1000};
  });
  await t.throwsAsync(create('web'), {message: /object is not ready/});
});

test.serial('a guest that does not hear the power button is cut off in time', async t => {
  const {vbox, deps, create} = await bench(t);
  await create('web');
  await vbox.change(state => {
    state.odd = {deaf: true};
  });
  await stopMachine(deps, 'web', 1, silentProgress);
  t.is((await vbox.state()).vms[0]?.state, 'poweroff');
});

test.serial('paused or saved by VBoxManage, it starts again', async t => {
  const {vbox, deps, create} = await bench(t);
  await create('web');
  for (const [state, seen] of [
    ['paused', 'Paused'],
    ['saved', 'Saved'],
  ] as const) {
    await vbox.change(now => {
      for (const vm of now.vms) vm.state = state;
    });
    t.is((await observeStored(deps, await loadMachine(deps.store, 'web'))).state, seen);
    await startMachine(deps, 'web', 5, silentProgress);
    t.is((await vbox.state()).vms[0]?.state, 'running');
  }
});

test.serial(
  'a network outside 192.168.56.0/21 is refused before anything is made, unless the host allows it',
  async t => {
    const {deps, create} = await bench(t);
    const error = await t.throwsAsync(create('web', {'virtualbox-hostonly-cidr': '192.168.99.1/24'}), {
      code: 'check-failed',
    });
    t.regex(error?.message ?? '', /192\.168\.56\.0\/21/);
    t.deepEqual(await deps.store.names(), []);
  },
);

test.serial(
  'two adapters with one network are an error that names them; the last machine takes ours away',
  async t => {
    const {vbox, deps, create} = await bench(t);
    await create('a', {'virtualbox-hostonly-cidr': '192.168.56.1/24'});
    await create('b', {'virtualbox-hostonly-cidr': '192.168.56.1/24'});
    t.is((await vbox.state()).adapters.length, 1);
    await removeMachine(deps, 'a', false, quiet);
    t.is((await vbox.state()).adapters.length, 1);
    await removeMachine(deps, 'b', false, quiet);
    t.is((await vbox.state()).adapters.length, 0);
    await vbox.change(state => {
      for (const name of ['vboxnet0', 'vboxnet1'])
        state.adapters.push({name, address: '192.168.56.1', netmask: '255.255.255.0', listedAfter: 0});
    });
    await t.throwsAsync(create('c', {'virtualbox-hostonly-cidr': '192.168.56.1/24'}), {
      message: /vboxnet0, vboxnet1 have the same network/,
    });
    t.is((await vbox.state()).adapters.length, 2);
  },
);

test.serial("a user's own machine of the same name is left alone", async t => {
  const {vbox, create} = await bench(t);
  await create('web');
  await vbox.change(state => {
    for (const vm of state.vms)
      Object.assign(vm, {name: 'mine', uuid: randomUUID(), group: '/', controllers: {}});
  });
  const error = await t.throwsAsync<MachineError>(create('mine'), {code: 'driver-failed'});
  t.regex(error?.remedy ?? '', /choose another name/);
  t.is((await vbox.state()).vms.length, 1);
});

test.serial('a machine that the store lost is found by its group, and removed', async t => {
  const {vbox, deps, create} = await bench(t);
  await create('kept');
  await create('web');
  await deps.store.remove('web');
  // Its disk has the path that a new one of this name would have.
  const error = await t.throwsAsync<MachineError>(create('web'), {code: 'driver-failed'});
  t.regex(error?.remedy ?? '', /hawser machine gc/);
  const {strays} = await findStrays(deps, 0);
  t.deepEqual(
    strays.map(({found}) => found.name),
    ['web'],
  );
  for (const stray of strays) await removeStray(deps, stray, () => undefined);
  t.deepEqual(
    (await vbox.state()).vms.map(vm => vm.name),
    ['kept'],
  );
  await create('web');
});

test('without VirtualBox, or with an old one, the check says what to install', async t => {
  const {vbox, create} = await bench(t);
  const missing = await t.throwsAsync<MachineError>(
    create('web', {'virtualbox-program': '/nowhere/VBoxManage'}),
    {code: 'check-failed'},
  );
  t.regex(missing?.message ?? '', /VBoxManage not found/);
  t.is(missing?.context['exitCode'], 3);
  await vbox.change(state => {
    state.version = '5.2.44r139111';
  });
  await t.throwsAsync(create('web'), {message: /VirtualBox is 5\.2\.44/});
  await writeFile(join(vbox.image), 'no disk');
  await vbox.change(state => {
    state.version = '7.1.4r165100';
  });
  await t.throwsAsync(create('web'), {message: /is not a raw disk/});
});

test('the configuration’s disk is a FAT with that one file', async t => {
  for (const size of [1, 2047, 2048, 2049, 300_000]) {
    const config = Buffer.alloc(size, 'x');
    const disk = configDisk(config);
    const fat = await openFat({
      size: disk.length,
      read: async (at, length) => disk.subarray(at, at + length),
    });
    const file = await fat.file('config.ign');
    t.is(file.size, size);
    t.deepEqual(Buffer.from(await file.read(0, size)), config);
  }
  t.throws(() => configDisk(Buffer.alloc(configDiskCapacity + 1)), {instanceOf: RangeError});
});

test('networks', t => {
  const cidr = parseCidr('192.168.56.1/24');
  t.is(cidr.netmask, '255.255.255.0');
  t.true(isInDefaultRange(cidr));
  t.true(isInDefaultRange(parseCidr('192.168.63.1/22')));
  t.false(isInDefaultRange(parseCidr('192.168.64.1/24')));
  t.false(isInDefaultRange(parseCidr('192.168.56.1/20')));
  t.true(sameNetwork({address: '192.168.56.9', netmask: '255.255.255.0'}, cidr));
  t.false(sameNetwork({address: '192.168.56.1', netmask: '15.0.0.0'}, cidr));
  const all = new Set<string>();
  for (let next = freeAddress(cidr, 7, all); next !== undefined; next = freeAddress(cidr, 7, all))
    all.add(next);
  t.is(all.size, 253);
  t.false(all.has('192.168.56.1') || all.has('192.168.56.0') || all.has('192.168.56.255'));
  for (const bad of ['192.168.56.0/24', '300.1.1.1/24', '192.168.56.1', '192.168.56.1/31', 'x/24'])
    t.throws(() => parseCidr(bad), {code: 'bad-setting'}, bad);
});

test('what VBoxManage prints is read', t => {
  const info = parseMachineInfo(
    'name="web"\r\nVMState="aborted"\r\n"SATA-0-0"="/x=y.vdi"\r\nmemory=1024\r\n',
  );
  t.is(info.get('SATA-0-0'), '/x=y.vdi');
  t.is(info.get('memory'), '1024');
  t.is(stateOf(info), 'Stopped');
  t.is(stateOf(parseMachineInfo('VMState="gurumeditation"')), 'Error');
  t.is(stateOf(parseMachineInfo('')), 'Error');
  t.deepEqual(
    parseHostOnlyAdapters(
      'Name:            vboxnet0\nIPAddress:       192.168.56.1\nNetworkMask:     255.255.255.0\n\n',
    ),
    [{name: 'vboxnet0', address: '192.168.56.1', netmask: '255.255.255.0'}],
  );
});
