/** Three members of etcd, each on a machine of the lab of its own. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {LabMachine} from '../../../test/cluster/support/lab.ts';

export interface Member {
  readonly name: string;
  start(): void;
  kill(): Promise<void>;
  tell(signal: NodeJS.Signals): void;
}

export function membersOn(machines: readonly LabMachine[], folder: string): Member[] {
  const peers = machines.map(({name, address}) => `${name}=http://${address}:2380`).join(',');
  return machines.map(({name, address, enter}) => {
    let child: ChildProcess | undefined;
    const flags = {
      name,
      'data-dir': join(folder, name),
      'log-level': 'fatal',
      'listen-client-urls': `http://${address}:2379`,
      'advertise-client-urls': `http://${address}:2379`,
      'listen-peer-urls': `http://${address}:2380`,
      'initial-advertise-peer-urls': `http://${address}:2380`,
      'initial-cluster': peers,
    };
    // Of its namespaces only the network: a signal then reaches etcd itself.
    const [, , inner = ''] = enter;
    const argv = [`--net=/proc/${inner}/ns/net`, '--', 'setpriv', '--pdeathsig', 'KILL', 'etcd'];
    const living = () => (child?.exitCode === null && child.signalCode === null ? child : undefined);
    return {
      name,
      start: () => {
        if (living() !== undefined) return;
        const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
        child = spawn('nsenter', [...argv, ...words], {stdio: 'ignore'});
      },
      kill: async () => {
        const running = living();
        if (running === undefined) return;
        const gone = once(running, 'exit');
        running.kill('SIGKILL');
        await gone;
      },
      tell: signal => void living()?.kill(signal),
    };
  });
}

/** Resolves when a majority answers. Throws when it does not for a minute. */
export async function answers(machines: readonly LabMachine[], enterHub: readonly string[]): Promise<void> {
  const endpoints = machines.map(({address}) => `http://${address}:2379`).join(',');
  for (let left = 60; left > 0; left--) {
    const argv = [...enterHub, 'etcdctl', `--endpoints=${endpoints}`, 'put', '/lab', 'x'];
    const done = await exec(argv, {timeoutMs: 10_000, env: {PATH: '/usr/bin:/bin', ETCDCTL_API: '3'}}).catch(
      () => undefined,
    );
    if (done !== undefined) return;
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
  throw new Error('etcd does not come up');
}

/** All that the members know is gone. */
export async function wipe(members: readonly Member[], folder: string): Promise<void> {
  for (const member of members) await member.kill();
  for (const {name} of members) await rm(join(folder, name), {recursive: true, force: true});
  for (const member of members) member.start();
}
