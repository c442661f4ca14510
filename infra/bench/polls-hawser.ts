/** Hawser's side of polls.ts: the server in a process of its own, with the etcd that it starts. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import {treeCpuSeconds} from './process-cpu.ts';
import type {PolledServer} from './polls-server-kind.ts';
import {reportOf} from './polls-report.ts';

export async function startHawser(machines: number, pinned: readonly string[]): Promise<PolledServer> {
  const script = fileURLToPath(new URL('polls-server.ts', import.meta.url));
  const [program, ...args] = [...pinned, process.execPath, script, String(machines)];
  const server = spawn(program, args, {stdio: ['ignore', 'inherit', 'inherit', 'ipc']});
  const ended = once(server, 'exit');
  const [ready] = (await Promise.race([
    once(server, 'message'),
    ended.then(() => Promise.reject(new Error('the server of the bench ended'))),
  ])) as [{port: number; loaded: number}];
  return {
    name: 'Hawser on etcd',
    port: ready.port,
    expect: '"action"',
    poll: machine => ({
      path: '/v1/check',
      headers: {'content-type': 'application/json', 'x-machine': String(machine)},
      body: JSON.stringify(reportOf(machine)),
    }),
    // etcd is its child.
    cpuSeconds: () => treeCpuSeconds(server.pid ?? 0),
    async [Symbol.asyncDispose]() {
      if (server.connected) server.send('end');
      const hard = setTimeout(() => server.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(hard);
    },
  };
}
