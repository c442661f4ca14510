/** How the operator logs in to a host before it knows our key: with the operator's own. */
import type {GenericSettings} from './settings.ts';

const CONNECT_TIMEOUT_SECONDS = 30;

/** `ssh` up to the host. `known` is the file that a host key goes to which is trusted on first use. */
export function operatorSsh(settings: GenericSettings, known: string): string[] {
  const {host, sshPort, user, key, hostKey, knownHosts} = settings;
  const files = [known, ...(knownHosts === undefined ? [] : [knownHosts])];
  const trust =
    hostKey === undefined
      ? [`UserKnownHostsFile=${files.map(quote).join(' ')}`, 'StrictHostKeyChecking=accept-new']
      : [
          // ssh_config(5), OpenSSH 8.5: %H is the name that is looked for.
          `KnownHostsCommand=/bin/echo "%H ${hostKey}"`,
          'UserKnownHostsFile=/dev/null',
          'GlobalKnownHostsFile=/dev/null',
          'StrictHostKeyChecking=yes',
        ];
  const options = [
    ...(key === undefined ? [] : [`IdentityFile=${quote(key)}`, 'IdentitiesOnly=yes']),
    ...trust,
    // The machine's enrolment speaks of this key.
    'HostKeyAlgorithms=ssh-ed25519',
    'PasswordAuthentication=no',
    'KbdInteractiveAuthentication=no',
    'BatchMode=yes',
    'LogLevel=ERROR',
    `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`,
  ];
  return [
    'ssh',
    '-F',
    '/dev/null',
    ...options.flatMap(option => ['-o', option]),
    '-p',
    String(sshPort),
    '-l',
    user,
    host,
  ];
}

function quote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}
