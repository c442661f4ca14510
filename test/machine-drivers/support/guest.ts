/**
 * A guest without a machine: a real sshd, the real enrolment agent behind it, and a TLS server that answers Docker's
 * health call with the certificate that enrolment brought.
 */
import {spawn} from 'node:child_process';
import {access, mkdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import {exec} from '../../../services/common/exec.ts';
import type {EnrolmentConfig} from '../../../services/common/contracts/enrolment.ts';
import {layoutUnder} from '../../../services/enrol-agent/layout.ts';
import {makeRequest} from '../../../services/enrol-agent/request.ts';
import {serveDocker} from './docker.ts';
import type {Endpoint} from '../../../machine-drivers/driver.ts';
import {freePort, isFree} from '../../support/ports.ts';
import {makeKey} from './ssh-key.ts';

const guestCommand = fileURLToPath(new URL('../fixtures/guest-command.ts', import.meta.url));

/** The system's sshd, or the one that HAWSER_TEST_SSHD names; undefined when there is none. */
export async function findSshd(): Promise<string | undefined> {
  for (const path of [process.env['HAWSER_TEST_SSHD'] ?? '', '/usr/sbin/sshd', '/usr/local/sbin/sshd']) {
    if (
      path !== '' &&
      (await access(path).then(
        () => true,
        () => false,
      ))
    )
      return path;
  }
  return undefined;
}

export interface Guest {
  readonly endpoint: Endpoint;
  readonly login: string;
  /** What Ignition does on a real machine: the key may log in, the token is there, the request is made. */
  firstBoot(keys: readonly string[], enrolment: EnrolmentConfig): Promise<void>;
  /** Serves Docker's health call once the certificate has been accepted. */
  serveDocker(): Promise<void>;
  /** sshd goes on with another host key: somebody else answers at the address. */
  changeHostKey(): Promise<void>;
  commands(): Promise<readonly string[]>;
}

export async function startGuest(t: ExecutionContext, root: string, sshd: string): Promise<Guest> {
  const layout = layoutUnder(root);
  const hostKey = layout.sshHostKey.replace(/\.pub$/, '');
  const authorized = join(root, 'authorized_keys');
  await mkdir(join(root, 'etc', 'ssh'), {recursive: true});
  await makeKey(hostKey);
  await writeFile(authorized, '');
  const [sshPort, dockerPort] = [await freePort(), await freePort()];
  const config = join(root, 'sshd_config');
  await writeFile(
    config,
    [
      `ListenAddress 127.0.0.1:${sshPort}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorized}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      `ForceCommand "${process.execPath}" "${guestCommand}" "${root}"`,
    ].join('\n'),
  );
  // Debian's sshd, run by root, wants this folder to be there.
  if (userInfo().uid === 0) {
    const made = await mkdir('/run/sshd', {recursive: true, mode: 0o755});
    if (made !== undefined) t.teardown(() => rmdir(made));
  }

  let stop: () => Promise<void> = () => Promise.resolve();
  const start = async () => {
    const child = spawn(sshd, ['-D', '-E', join(root, 'sshd.log'), '-f', config], {
      stdio: 'ignore',
      detached: true,
    });
    const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
    stop = async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
    };
    while (await isFree(sshPort)) {
      if (child.exitCode !== null) throw new Error(`sshd: ${await readFile(join(root, 'sshd.log'), 'utf8')}`);
      await delay(20);
    }
  };
  await start();
  t.teardown(() => stop());

  return {
    endpoint: {ssh: {host: '127.0.0.1', port: sshPort}, docker: {host: '127.0.0.1', port: dockerPort}},
    login: userInfo().username,
    firstBoot: async (keys, enrolment) => {
      await mkdir(join(root, 'etc', 'hawser'), {recursive: true});
      await writeFile(authorized, `${keys.join('\n')}\n`);
      await writeFile(layout.config, JSON.stringify(enrolment));
      await makeRequest(layout, enrolment);
    },
    serveDocker: async () => void (await serveDocker(t, layout, dockerPort)),
    changeHostKey: async () => {
      await stop();
      await exec(['mv', hostKey, `${hostKey}.old`], {timeoutMs: 5000});
      await makeKey(hostKey);
      await start();
    },
    commands: async () =>
      (await readFile(join(root, 'commands.log'), 'utf8').catch(() => '')).split('\n').slice(0, -1),
  };
}
