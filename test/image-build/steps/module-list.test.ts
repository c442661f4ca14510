import test from 'ava';
import * as fc from 'fast-check';
import {ImageError} from '../../../image-build/errors.ts';
import {
  moduleName,
  parseModuleList,
  parseModulesDep,
  selectModules,
  withDependencies,
} from '../../../image-build/steps/module-list.ts';

const dep = parseModulesDep(
  [
    'kernel/drivers/net/xen-netfront.ko.xz:',
    'kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz',
    'kernel/drivers/net/wireless/ath.ko.xz: kernel/net/wireless/cfg80211.ko.xz kernel/net/rfkill.ko.xz',
    'kernel/net/core/failover.ko.xz:',
    'kernel/net/wireless/cfg80211.ko.xz: kernel/net/rfkill.ko.xz',
    'kernel/net/rfkill.ko.xz:',
    'kernel/fs/ext4/ext4.ko.xz:',
    '',
  ].join('\n'),
);
const builtin = ['kernel/fs/fat/vfat.ko', ''];
const select = (...wanted: string[]) =>
  [...selectModules(wanted, dep, builtin)]
    .map(path => path.replace(/^kernel\//, '').replace('.ko.xz', ''))
    .sort();

test('a name takes the module and what it needs', t => {
  t.deepEqual(select('drivers/net/virtio_net'), ['drivers/net/virtio_net', 'net/core/failover']);
});

test('a folder takes everything below it', t => {
  t.deepEqual(select('net/'), ['net/core/failover', 'net/rfkill', 'net/wireless/cfg80211']);
});

test('dashes and underscores are the same', t => {
  t.deepEqual(select('drivers/net/xen_netfront'), select('drivers/net/xen-netfront'));
  t.is(moduleName('kernel/a/xen-netfront.ko.xz'), 'xen_netfront');
  t.is(moduleName('kernel/a/xen-netfront.ko'), 'xen_netfront');
});

test('a leading ! leaves out, but not what another module needs', t => {
  t.deepEqual(select('drivers/net/', '!drivers/net/wireless/'), [
    'drivers/net/virtio_net',
    'drivers/net/xen-netfront',
    'net/core/failover',
  ]);
  t.true(select('drivers/net/', 'net/', '!net/core/').includes('net/core/failover'));
});

test('what is built in is known and needs no file', t => {
  t.deepEqual(select('fs/fat/vfat', 'fs/ext4/'), ['fs/ext4/ext4']);
});

for (const entry of ['fs/btrfs/', 'drivers/net/e1000', 'net/ext4', '!fs/btrfs/', '!', '/']) {
  test(`${entry}, which the kernel does not have, is refused by name`, t => {
    const error = t.throws(() => select('fs/ext4/', entry), {instanceOf: ImageError});
    t.is(error?.code, 'recipe-invalid');
    t.true(error?.message.endsWith(` ${entry}`), error?.message);
  });
}

test('comments and blanks of the list do not count', t => {
  t.deepEqual(parseModuleList('# all\n\n  net/   # network\nfs/ext4/ext4\n'), ['net/', 'fs/ext4/ext4']);
});

const path = fc.stringMatching(/^kernel\/[ab]\/[a-e]{1,2}\.ko$/);
const graph = fc
  .array(fc.tuple(path, fc.array(path, {maxLength: 3})), {maxLength: 12})
  .map(entries => new Map(entries));

test('the closure holds what is selected, is closed, and holds nothing that nobody needs', t => {
  fc.assert(
    fc.property(graph, fc.array(path, {maxLength: 4}), (dependencies, selected) => {
      const closure = withDependencies(selected, dependencies);
      for (const one of selected) t.true(closure.has(one));
      for (const one of closure) for (const need of dependencies.get(one) ?? []) t.true(closure.has(need));
      const needed = new Set([...closure].flatMap(one => dependencies.get(one) ?? []));
      for (const one of closure) t.true(selected.includes(one) || needed.has(one));
      t.is(withDependencies(closure, dependencies).size, closure.size);
    }),
  );
});

test('modules.dep survives being written and read', t => {
  fc.assert(
    fc.property(graph, dependencies => {
      const text = [...dependencies].map(([path, needs]) => `${path}: ${needs.join(' ')}\n`).join('');
      t.deepEqual(parseModulesDep(text), dependencies);
    }),
  );
});
