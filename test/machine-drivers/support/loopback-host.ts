/**
 * A host of the image without a machine: a real sshd in mount and host-name namespaces of its own, where /etc, /run,
 * /var/lib, /usr/lib, /usr/local and root's home are overlays. What is done there as root is done for real, and nowhere
 * else.
 */
import {spawn} from 'node:child_process';
import {chmod, copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import {findSshd} from './guest.ts';
import {freePort, isFree} from '../../support/ports.ts';
import {makeKey} from './ssh-key.ts';

const enrolAgent = fileURLToPath(new URL('../../../services/enrol-agent/main.ts', import.meta.url));
/** One host under many names: a pool of hosts, where it matters. */
export const addresses = Array.from({length: 9}, (_, index) => `127.0.0.${index + 1}`);
const overlaid = ['/etc', '/run', '/var/lib', '/usr/lib', '/usr/local', '/root'];

export interface LoopbackHost {
  /** What the overlays have taken up: `root` + the path on the host. */
  readonly root: string;
  readonly port: number;
  /** The operator's own key, which may log in. */
  readonly key: string;
  /** `ssh-ed25519 AAAA…` */
  readonly hostKey: string;
  authorizedKeys(): Promise<readonly string[]>;
  /** What was asked of systemctl. */
  systemctl(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Why there can be none here; undefined when there can. */
export async function whyNoLoopbackHost(): Promise<string | undefined> {
  if ((await findSshd()) === undefined) return 'no sshd is installed';
  if (userInfo().uid !== 0) return 'overlays in a namespace need root here';
  return undefined;
}

/** `agent: 'real'` runs the product's own enrolment agent; `'none'` one that does nothing, where it is not the point. */
export async function startLoopbackHost(
  t: ExecutionContext,
  root: string,
  agent: 'real' | 'none',
): Promise<LoopbackHost> {
  const sshd = (await findSshd()) ?? '';
  const at = (path: string) => join(root, path);
  for (const path of [...overlaid, '/etc/ssh', '/usr/lib/hawser', '/usr/local/bin', '/run/sshd'])
    await mkdir(at(path), {recursive: true});
  await mkdir(at('/root/.ssh'), {recursive: true, mode: 0o700});
  const hostKeyFile = at('/etc/ssh/ssh_host_ed25519_key');
  const key = join(root, 'operator');
  await makeKey(hostKeyFile);
  await makeKey(key);
  await copyFile(`${key}.pub`, at('/root/.ssh/authorized_keys'));
  await program(at('/usr/local/bin/sudo'), 'exec "$@"');
  await program(at('/usr/local/bin/systemctl'), `echo "$@" >> ${root}/systemctl.log`);
  // The update agent's words, over files: what it really does is test/e2e's matter.
  await program(
    at('/usr/local/bin/hawserctl'),
    [
      `cd ${root}; test -f release || { echo 'no update.json' >&2; exit 1; }`,
      'if [ "$1" = apply ]; then test ! -f offered || mv offered release; exit 0; fi',
      'echo "version   $(cat release) (slot a)"; echo "phase     idle"',
      'test ! -f broken || cat broken',
    ].join('\n'),
  );
  const run = agent === 'real' ? `exec '${process.execPath}' '${enrolAgent}' "$@"` : 'exit 0';
  await program(at('/usr/lib/hawser/hawser-enrol'), run);
  const port = await freePort();
  await writeFile(
    at('/etc/ssh/sshd_config'),
    [
      ...addresses.map(address => `ListenAddress ${address}:${port}`),
      'HostKey /etc/ssh/ssh_host_ed25519_key',
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      '',
    ].join('\n'),
  );
  const mounts = overlaid.map((path, index) => {
    const work = join(root, `work${index}`);
    return `mkdir -p ${work} && mount -t overlay overlay -o lowerdir=${path},upperdir=${at(path)},workdir=${work} ${path}`;
  });
  const script = ['set -e', ...mounts, `exec ${sshd} -D -E ${root}/sshd.log -f /etc/ssh/sshd_config`].join(
    '\n',
  );
  const child = spawn('unshare', ['--mount', '--uts', '--', 'sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
    await ended;
  };
  t.teardown(stop);
  while (await isFree(port)) {
    if (child.exitCode !== null) throw new Error(`sshd did not start: ${complaint}`);
    await delay(20);
  }
  const linesOf = async (path: string) =>
    (await readFile(path, 'utf8').catch(() => '')).split('\n').filter(line => line !== '');
  const [type = '', text = ''] = (await readFile(`${hostKeyFile}.pub`, 'utf8')).split(' ');
  return {
    root,
    port,
    key,
    hostKey: `${type} ${text.trim()}`,
    authorizedKeys: () => linesOf(at('/root/.ssh/authorized_keys')),
    systemctl: () => linesOf(join(root, 'systemctl.log')),
    stop,
  };
}

async function program(path: string, line: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${line}\n`);
  await chmod(path, 0o755);
}
