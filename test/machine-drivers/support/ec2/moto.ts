/** moto's server: an EC2 and EBS of its own process, on loopback, with its validations on. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {resolvePaths} from '../../../../services/common/paths.ts';
import {exec, ExecError} from '../../../../services/common/exec.ts';
import {freePort} from '../../../support/ports.ts';
import {setTimeout as delay} from 'node:timers/promises';

const requirements = join(import.meta.dirname, 'requirements.txt');
const VERSION = '5.2.5';
const INSTALL_TIMEOUT_MS = 300_000;

export interface Moto extends AsyncDisposable {
  readonly port: number;
}

/** Python of a virtual environment with moto, made once below Hawser's cache; undefined where there is no Python. */
export async function findMoto(): Promise<string | undefined> {
  const folder = join(resolvePaths(process.env).cache, `moto-${VERSION}`);
  const python = join(folder, 'bin', 'python');
  if (await exists(python)) return python;
  await mkdir(dirname(folder), {recursive: true});
  const making = await mkdtemp(`${folder}.making-`);
  try {
    await exec(['python3', '-m', 'venv', making], {timeoutMs: INSTALL_TIMEOUT_MS});
    await exec(
      [join(making, 'bin', 'python'), '-m', 'pip', 'install', '-q', '--no-deps', '-r', requirements],
      {
        timeoutMs: INSTALL_TIMEOUT_MS,
      },
    );
    // Another test file may have been faster.
    await rename(making, folder).catch(async (error: unknown) => {
      if (!(await exists(python))) throw error;
    });
    return python;
  } catch (error) {
    if (error instanceof ExecError && error.code === 'not-found') return undefined;
    throw error;
  } finally {
    await rm(making, {recursive: true, force: true});
  }
}

export async function startMoto(python: string): Promise<Moto> {
  const port = await freePort();
  // It ends with us, however we end.
  const argv = ['--pdeathsig', 'KILL', python, '-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)];
  const child = spawn('setpriv', argv, {
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      MOTO_ENABLE_AMI_VALIDATION: 'true',
      MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION: 'true',
      MOTO_ENABLE_KEYPAIR_VALIDATION: 'true',
      MOTO_EC2_LOAD_DEFAULT_AMIS: 'false',
      // moto itself uses an AWS library: it must find nobody.
      AWS_EC2_METADATA_DISABLED: 'true',
    },
  });
  const gone = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  try {
    for (let attempt = 0; !(await answers(port)); attempt++) {
      if (child.exitCode !== null || attempt > 600) throw new Error('moto does not answer');
      await delay(100);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {port, [Symbol.asyncDispose]: stop};
}

async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/moto-api/data.json`).then(
    async response => {
      await response.arrayBuffer();
      return response.ok;
    },
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
