/** How we call the system's ssh: pure argument arrays. */
import {join} from 'node:path';
import type {Address} from '../driver.ts';

export interface SshTarget {
  readonly address: Address;
  readonly user: string;
  /** The name under which the machine's host key is known, whatever its address is: the UUID. */
  readonly hostKeyAlias: string;
  readonly folder: string;
}

export const knownHostsFile = 'known_hosts';
/** Filled by the first connection, whose host key is yet to be proven. */
export const unverifiedHostsFile = 'known_hosts.unverified';
export const privateKeyFile = 'id_ed25519';

const CONNECT_TIMEOUT_SECONDS = 60;

/** `-o` settings as `Key=value`. `proven` is false only until the enrolment request has proven the host key. */
export function sshSettings(target: SshTarget, proven: boolean): string[] {
  return [
    `IdentityFile=${quote(join(target.folder, privateKeyFile))}`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    `HostKeyAlias=${target.hostKeyAlias}`,
    `UserKnownHostsFile=${quote(join(target.folder, proven ? knownHostsFile : unverifiedHostsFile))}`,
    'GlobalKnownHostsFile=/dev/null',
    `StrictHostKeyChecking=${proven ? 'yes' : 'accept-new'}`,
    'HostKeyAlgorithms=ssh-ed25519',
    'UpdateHostKeys=no',
    'HashKnownHosts=no',
    'CheckHostIP=no',
    'PasswordAuthentication=no',
    'KbdInteractiveAuthentication=no',
    'LogLevel=ERROR',
    `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`,
  ];
}

/** `ssh` up to the host, ready for a remote command. The operator's own configuration is left out (`-F /dev/null`). */
export function sshArguments(
  target: SshTarget,
  options: {proven: boolean; batch: boolean; tty?: boolean},
): string[] {
  return [
    'ssh',
    '-F',
    '/dev/null',
    ...sshSettings(target, options.proven).flatMap(setting => ['-o', setting]),
    ...(options.batch ? ['-o', 'BatchMode=yes'] : []),
    ...(options.tty === true ? ['-t'] : []),
    '-p',
    String(target.address.port),
    '-l',
    target.user,
    target.address.host,
  ];
}

/** One `Host` block for scp between machines, which can differ in key and port only through a configuration file. */
export function sshConfigBlock(host: string, target: SshTarget): string {
  const settings = sshSettings(target, true).map(setting => `  ${setting.replace('=', ' ')}`);
  return [
    `Host ${host}`,
    `  HostName ${target.address.host}`,
    `  Port ${target.address.port}`,
    `  User ${target.user}`,
    ...settings,
    '',
  ].join('\n');
}

/** The key that ssh recorded for `alias`, as `ssh-ed25519 AAAA...`, or undefined. */
export function recordedHostKey(knownHosts: string, alias: string): string | undefined {
  for (const line of knownHosts.split('\n')) {
    const [host, type, key] = line.trim().split(/\s+/);
    if (host === alias && type !== undefined && key !== undefined) return `${type} ${key}`;
  }
  return undefined;
}

// ssh_config(5): arguments with spaces are quoted; percent signs start a token.
function quote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}
