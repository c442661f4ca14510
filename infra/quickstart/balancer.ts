/** Runs HAProxy: one process, known by its pid file, that outlives the command and is found again by the next one. */
import {mkdir, readFile, rm} from 'node:fs/promises';
import {connect} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../services/common/exec.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {
  balancerFiles,
  parseServersState,
  renderBalancerConfig,
  type BalancerPlan,
  type ServerState,
} from './balancer-config.ts';

const START_TIMEOUT_MS = 30_000;
const STOP_SECONDS = 20;

export interface Balancer {
  readonly url: string;
  servers(): Promise<ServerState[]>;
  /** Resolves when at least `count` servers take requests and have shown that they can. */
  untilUp(count: number, seconds: number, signal: AbortSignal): Promise<void>;
}

/**
 * Starts HAProxy, or hands over from the one that runs: listening socket and servers' state pass to the new process.
 * `enter` is a prefix of the command line (tests run it in a namespace).
 */
export async function startBalancer(plan: BalancerPlan, enter: readonly string[] = []): Promise<Balancer> {
  const {folder} = plan;
  await mkdir(folder, {recursive: true, mode: 0o700});
  const config = join(folder, 'haproxy.cfg');
  const socket = join(folder, balancerFiles.socket);
  const running = await runningPid(folder);
  const state = running === undefined ? '' : await ask(socket, 'show servers state').catch(() => '');
  await writeFileAtomic(join(folder, balancerFiles.state), state);
  await writeFileAtomic(config, renderBalancerConfig(plan));
  const handover = running === undefined ? [] : ['-x', socket, '-sf', String(running)];
  await exec([...enter, 'haproxy', '-D', '-p', join(folder, 'haproxy.pid'), '-f', config, ...handover], {
    timeoutMs: START_TIMEOUT_MS,
  });
  const servers = async () => parseServersState(await ask(socket, 'show servers state'));
  return {
    url: `http://${plan.listen.host}:${plan.listen.port}`,
    servers,
    untilUp: async (count, seconds, signal) => {
      const deadline = performance.now() + seconds * 1000;
      for (;;) {
        const all = await servers();
        const down = all.filter(({up, passed}) => !(up && passed)).map(({name}) => name);
        if (all.length - down.length >= count) return;
        if (performance.now() > deadline)
          throw new Error(`${down.join(', ')} did not come into service in ${seconds} s`);
        await delay(500, undefined, {signal});
      }
    },
  };
}

/** Ends it, and what it left: fine when none runs. */
export async function stopBalancer(folder: string): Promise<void> {
  const pid = await runningPid(folder);
  if (pid !== undefined) {
    process.kill(pid, 'SIGTERM');
    for (let left = STOP_SECONDS * 10; left > 0 && (await runningPid(folder)) !== undefined; left--)
      await delay(100);
  }
  await rm(folder, {recursive: true, force: true});
}

/** The process of the pid file, if it is still an HAProxy of this folder. */
async function runningPid(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, 'haproxy.pid'), 'utf8').catch(() => '');
  const pid = Number(text.trim().split('\n').at(-1));
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes('haproxy') && commandLine.includes(folder) ? pid : undefined;
}

function ask(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path);
    socket.setTimeout(5000, () => socket.destroy(new Error('HAProxy does not answer')));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('error', reject);
    socket.on('end', () => resolve(text));
    socket.end(`${command}\n`);
  });
}
