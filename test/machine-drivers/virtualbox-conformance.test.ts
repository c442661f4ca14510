/** The virtualbox driver against a strict stand-in for VBoxManage; VirtualBox itself cannot be installed here. */
import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest from 'ava';
import {virtualboxDriver} from '../../machine-drivers/drivers/virtualbox/index.ts';
import {conformance} from './conformance.ts';
import {standInVirtualBox} from './support/virtualbox.ts';

// With a host-only network: all that the driver makes.
conformance(anyTest.serial, {
  name: 'virtualbox',
  subject: async (_, home) => {
    const vbox = await standInVirtualBox(home);
    await vbox.change(state => {
      state.odd = {notReady: 2, lateAdapters: 1};
    });
    const exists = (path: string) =>
      stat(path).then(
        () => 1,
        () => 0,
      );
    return {
      driver: virtualboxDriver,
      settings: await vbox.settings({'virtualbox-hostonly-cidr': '192.168.56.1/24'}),
      fresh: 'Running',
      slow: true,
      shared: ['hostonlyAdapter', 'hostonlyMade', 'hostonlyBefore'],
      unmarked: ['adapters'],
      count: async ({uuid, folder}) => {
        const state = await vbox.state();
        const vm = state.vms.find(one => one.uuid === uuid);
        return {
          machines: state.vms.filter(one => one.uuid === uuid).length,
          disks: await exists(join(folder, 'virtualbox', 'disk.vdi')),
          configs: await exists(join(folder, 'virtualbox', 'config.vdi')),
          sshRules: vm?.forwards['ssh'] === undefined ? 0 : 1,
          dockerRules: vm?.forwards['docker'] === undefined ? 0 : 1,
          ...(vm !== undefined || state.vms.length === 0 ? {adapters: state.adapters.length} : {}),
        };
      },
      vanish: ({uuid}) =>
        vbox.change(state => {
          state.vms = state.vms.filter(vm => vm.uuid !== uuid);
        }),
    };
  },
});
