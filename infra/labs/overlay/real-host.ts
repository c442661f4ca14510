/**
 * The farthest host, whole: the real agent on a real kernel, in namespaces of its own, which says when a route is there.
 * `unshare --mount --net node real-host.ts SOCKET NUMBER ADDRESS`; ends with its input.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {systemClock} from '../../../services/common/clock.ts';
import {startDaemon} from '../../../services/common/daemon.ts';
import {exec} from '../../../services/common/exec.ts';
import {containerNamespaces} from '../../../services/overlay-agent/adapters/containers.ts';
import {fileStore} from '../../../services/overlay-agent/adapters/files.ts';
import {kernelDataplane} from '../../../services/overlay-agent/adapters/kernel.ts';
import {httpServer} from '../../../services/overlay-agent/adapters/server.ts';
import {runOverlay} from '../../../services/overlay-agent/run.ts';
import {plainHttp} from './plain-http.ts';
import {uuidOf} from './uuid.ts';

const [, , socket = '', number = '', address = ''] = process.argv;
const env = {PATH: '/usr/sbin:/usr/bin:/sbin:/bin'};
const run = (line: string) => exec(line.split(' '), {timeoutMs: 10_000, env});
const say = (value: object): void =>
  void process.stdout.write(
    `${JSON.stringify({...value, at: performance.timeOrigin + performance.now()})}\n`,
  );

await run('mount --make-rprivate /');
await run('mount -t tmpfs tmpfs /run');
await run('ip link set lo up');
await run('ip link add eth0 type bridge');
await run(`ip addr add ${address}/14 dev eth0`);
await run('ip link set eth0 up');
const folder = await mkdtemp(join(tmpdir(), 'hawser-real-'));
const stop = new AbortController();
process.stdin.resume().on('end', () => stop.abort());
const log = {
  info: () => undefined,
  warn: (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (_fields: object, message: string) => process.stderr.write(`${message}\n`),
};
// Told as the kernel has it, whatever the agent believes.
const monitor = await startDaemon(['ip', 'monitor', 'all-nsid', 'route'], {
  env,
  onLine: line => {
    const [, block] = /^\[nsid \d+\]([0-9./]+) via /.exec(line) ?? [];
    if (block !== undefined) say({route: block});
  },
});
try {
  await runOverlay(
    {
      server: httpServer('https://server', plainHttp(socket, Number(number))),
      dataplane: kernelDataplane(),
      store: await fileStore(folder, log),
      self: () => ({machine: uuidOf(Number(number)), address, mtu: 1500, port: 4789}),
      boot: 'lab',
      clock: systemClock,
      random: Math.random,
      log,
      sockets: {plugin: '/run/plugin.sock', docker: '/run/docker.sock', control: '/run/control.sock'},
      containers: containerNamespaces(),
      env,
    },
    stop.signal,
  );
} finally {
  await monitor.stop(500);
  await rm(folder, {recursive: true, force: true});
}
