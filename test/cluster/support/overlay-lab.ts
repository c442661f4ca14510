/** The overlay on a lab: the real server with its own etcd on the hub, the real agent on each machine. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {systemClock} from '../../../services/common/clock.ts';
import {exec} from '../../../services/common/exec.ts';
import {openAuthority} from '../../../services/provisioner/enrolment/authority.ts';
import {createLeafKey} from '../../../services/provisioner/enrolment/certificates.ts';
import type {Lab, LabMachine} from './lab.ts';

const root = join(import.meta.dirname, '../../..');
const server = 'https://10.86.0.1:8443';

export interface Running {
  readonly log: () => string;
  /** Of the first process; the program may be below it. */
  readonly pid: number;
  /** SIGKILL unless told otherwise; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP and SIGCONT; nothing when it is gone. */
  tell(signal: NodeJS.Signals): Promise<void>;
}

export interface OverlayLab {
  /** HAWSER_HOME of the server. */
  readonly home: string;
  readonly startServer: () => Promise<Running>;
  /** The agent of the sources, or the program given. */
  readonly startAgent: (machine: LabMachine, program?: string) => Promise<Running>;
  /** Standard output of a command line in the machine, as its shell runs it. */
  readonly sh: (machine: LabMachine, line: string, timeoutMs?: number) => Promise<string>;
  /** Standard output of the operator's command on the hub; its exit code may be 1. */
  readonly hawser: (...args: string[]) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** `settings`: each machine's overlay.json. `serverFlags`: besides those of all labs. */
export async function startOverlayLab(
  lab: Lab,
  {
    settings = {},
    serverFlags = [],
  }: {readonly settings?: object; readonly serverFlags?: readonly string[]} = {},
): Promise<OverlayLab> {
  const home = await mkdtemp(join(tmpdir(), 'hawser-overlay-'));
  const running = new Set<Running>();
  const authority = await openAuthority({home, clock: systemClock});
  for (const machine of lab.machines) {
    const {key, publicKey} = await createLeafKey();
    const certificate = await authority.signMachine({
      key: {...publicKey, fingerprint: ''},
      machine: machine.uuid,
      name: machine.name,
      extraNames: [],
    });
    await machine.run(
      `mkdir -p /etc/docker/tls /etc/hawser
ln -s ${machine.dockerSocket} /run/docker.sock
cat > /etc/docker/tls/server-key.pem <<'END'
${key}
END
cat > /etc/docker/tls/server.pem <<'END'
${certificate}
END
cat > /etc/hawser/fleet-ca.pem <<'END'
${authority.fleetCa}
END
echo '{"server": "${server}"}' > /etc/hawser/update.json
echo '${JSON.stringify(settings)}' > /etc/hawser/overlay.json
`,
      {timeoutMs: 10_000},
    );
  }
  const keep = (child: ChildProcess): Running => {
    const text: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk: string) => text.push(chunk));
    const one: Running = {
      log: () => text.join(''),
      pid: child.pid ?? 0,
      kill: async (signal = 'SIGKILL') => {
        running.delete(one);
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        await tell(child, signal);
        await gone;
      },
      tell: async signal => {
        if (child.exitCode === null && child.signalCode === null) await tell(child, signal);
      },
    };
    running.add(one);
    return one;
  };
  // Dies with this process, however that ends.
  const start = (argv: readonly string[], env: NodeJS.ProcessEnv): Running => {
    const args = ['--pdeathsig', 'KILL', ...argv];
    return keep(spawn('setpriv', args, {stdio: ['ignore', 'pipe', 'pipe'], env}));
  };
  const env = {PATH: process.env['PATH'], HAWSER_HOME: home};
  return {
    home,
    startServer: async () => {
      const argv = [
        'server',
        '--listen',
        '10.86.0.1:8443',
        '--server-name',
        '10.86.0.1',
        '--log-level',
        'warn',
        ...serverFlags,
      ];
      const one = start(
        [...lab.enterHub, process.execPath, join(root, 'services/cli/main.ts'), ...argv],
        env,
      );
      await until(() => Promise.resolve(one.log().includes('stop with ^C')), one.log);
      return one;
    },
    startAgent: async (machine, program = join(root, 'services/overlay-agent/main.ts')) => {
      const one = start(
        [...machine.enter, 'setpriv', '--pdeathsig', 'KILL', process.execPath, program, 'run'],
        env,
      );
      await until(() => Promise.resolve(one.log().includes('overlay agent is up')), one.log);
      return one;
    },
    sh: async (machine, line, timeoutMs = 30_000) => {
      const {stdout} = await exec([...machine.enter, 'sh', '-c', line], {timeoutMs});
      return stdout.trim();
    },
    hawser: async (...args) => {
      const argv = [...lab.enterHub, process.execPath, join(root, 'services/cli/main.ts'), ...args];
      const plain = {PATH: process.env['PATH'] ?? '', HAWSER_HOME: home};
      return (await exec(argv, {timeoutMs: 60_000, env: plain, okCodes: [0, 1]})).stdout.trim();
    },
    close: async () => {
      for (const one of running) await one.kill('SIGTERM');
      await rm(home, {recursive: true, force: true, maxRetries: 5});
    },
  };
}

/** Whether it succeeds; why not does not matter to who asks again. */
export function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

/** Asks every 20 ms, for at most 30 s; how long it took, in ms. Throws with `why()` otherwise. */
export async function until(
  holds: () => Promise<boolean>,
  why: () => string,
  limitMs = 30_000,
): Promise<number> {
  const began = performance.now();
  while (performance.now() - began < limitMs) {
    if (await holds()) return Math.round(performance.now() - began);
    await delay(20);
  }
  throw new Error(`it did not come to be: ${why()}`);
}

/** To the program itself: nsenter, which stands before it where it is in another process namespace, hands nothing on. */
async function tell(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').catch(() => '');
  const behindNsenter = child.spawnargs.includes('--pid') ? Number(children.split(' ')[0]) : 0;
  if (behindNsenter > 0) process.kill(behindNsenter, signal);
  else child.kill(signal);
}
