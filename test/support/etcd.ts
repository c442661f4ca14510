/** A real etcd of one member on loopback, in a folder of its own. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Etcd3} from 'etcd3';
import {freePort} from './ports.ts';

export interface TestEtcd extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly client: Etcd3;
}

/** Waits until it answers. Fails where etcd is missing: infra/setup.sh --test installs it. */
export async function startEtcd(): Promise<TestEtcd> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-etcd-'));
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const flags = {
    name: 'one',
    'data-dir': folder,
    'log-level': 'error',
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `one=${peer}`,
  };
  const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn('etcd', argv, {stdio: 'ignore'});
  const gone = once(child, 'exit').catch((error: unknown) => {
    throw new Error('etcd cannot be started: run infra/setup.sh --test', {cause: error});
  });
  const client = new Etcd3({hosts: url});
  try {
    await Promise.race([answers(client), gone.then(() => Promise.reject(new Error('etcd ended at once')))]);
  } catch (error) {
    client.close();
    child.kill('SIGKILL');
    await rm(folder, {recursive: true, force: true});
    throw error;
  }
  return {
    url,
    pid: child.pid ?? 0,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      child.kill('SIGKILL');
      await gone;
      await rm(folder, {recursive: true, force: true});
    },
  };
}

async function answers(client: Etcd3): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      await client.get('ready');
      return;
    } catch {
      await delay(50);
    }
  }
  throw new Error('etcd does not answer');
}
