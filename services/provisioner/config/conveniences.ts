/** What `variant: hawser` adds to Butane's fields: host name, SSH keys, time zone, time servers. */
import type {ButaneConfig, BootDevice} from './butane-schema.ts';
import {errorAt, type CheckContext} from './check-context.ts';
import {addFile, addLink, addUser, emptyConfig} from './ignition.ts';
import type {IgnitionConfig} from './ignition-schema.ts';

/** The account that `ssh_authorized_keys` are for. */
export const defaultUser = 'core';

const paths = {
  hostname: '/etc/hostname',
  timezone: '/etc/localtime',
  ntpServers: '/etc/systemd/timesyncd.conf.d/50-hawser.conf',
} as const;

/** What the conveniences of `config` come to, as a config of its own. */
export function conveniences(config: ButaneConfig): IgnitionConfig {
  const {hostname, sshAuthorizedKeys = [], timezone, ntpServers = []} = config;
  let result = emptyConfig();
  if (hostname !== undefined) result = addFile(result, {path: paths.hostname, contents: `${hostname}\n`});
  if (timezone !== undefined) {
    // Relative, as systemd-firstboot makes it: it also resolves from outside the machine's root.
    result = addLink(result, {path: paths.timezone, target: `../usr/share/zoneinfo/${timezone}`});
  }
  if (ntpServers.length > 0) {
    result = addFile(result, {path: paths.ntpServers, contents: `[Time]\nNTP=${ntpServers.join(' ')}\n`});
  }
  if (sshAuthorizedKeys.length > 0) result = addUser(result, {name: defaultUser, sshAuthorizedKeys});
  return result;
}

/** Reports where a convenience and the plain sections write the same thing. */
export function checkConveniences(config: ButaneConfig, context: CheckContext): void {
  const {files = [], directories = [], links = []} = config.storage ?? {};
  for (const name of ['hostname', 'timezone', 'ntpServers'] as const) {
    if (config[name] === undefined) continue;
    const node = [...files, ...directories, ...links].find(one => one.path === paths[name]);
    if (node === undefined) continue;
    const line = context.marks.at(config, name).line;
    errorAt(context, node, 'path', `"${node.path}" is already written for line ${line}`);
  }
  checkKeys(config, context);
}

function checkKeys(config: ButaneConfig, context: CheckContext): void {
  const keys = config.sshAuthorizedKeys ?? [];
  const others =
    (config.passwd?.users ?? []).find(user => user.name === defaultUser)?.sshAuthorizedKeys ?? [];
  for (const [index, key] of keys.entries()) {
    if (keys.indexOf(key) < index || others.includes(key)) errorAt(context, keys, index, 'duplicate SSH key');
  }
}

/** fcos' `boot_device` re-lays the boot disk, which is fixed here: each wish is refused with its reason. */
export function checkBootDevice(device: BootDevice, context: CheckContext): void {
  const {layout, luks, mirror} = device;
  if (layout !== undefined && layout !== 'x86_64') {
    errorAt(context, device, 'layout', `there is no Hawser image for ${layout}; only x86_64`);
  }
  if (luks?.tpm2 === true || (luks?.tang ?? []).length > 0) {
    const reason = 'the image makes its root partition before this config is read';
    errorAt(context, device, 'luks', `the root filesystem cannot be encrypted from here: ${reason}`);
  }
  if ((mirror?.devices ?? []).length > 0) {
    const reason = 'its partitions are found by the root hash of the signed image, on one disk';
    errorAt(context, device, 'mirror', `the boot disk cannot be mirrored: ${reason}`);
  }
}
