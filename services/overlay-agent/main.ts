/** The overlay agent's program: `run` for systemd. */
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {systemClock} from '../common/clock.ts';
import {agentFiles, AgentConfig} from '../common/contracts/agent.ts';
import {serverStableName} from '../common/contracts/server.ts';
import {describeError} from '../common/errors.ts';
import {writeFileAtomic} from '../common/fs-atomic.ts';
import {machineHttp} from '../common/machine-http.ts';
import {parseJson} from '../common/parse.ts';
import {containerNamespaces} from './adapters/containers.ts';
import {fileStore} from './adapters/files.ts';
import {kernelDataplane} from './adapters/kernel.ts';
import {httpServer} from './adapters/server.ts';
import type {Self} from './desired.ts';
import {OverlayError} from './errors.ts';
import {machineIn} from './identity.ts';
import {journalLog} from './log.ts';
import type {AgentLog} from './ports.ts';
import {runOverlay} from './run.ts';
import {findSelf, readOverlayFile} from './settings.ts';

const tls = {
  key: '/etc/docker/tls/server-key.pem',
  certificate: '/etc/docker/tls/server.pem',
  ca: '/etc/hawser/fleet-ca.pem',
};
const overlayFile = '/etc/hawser/overlay.json';
const stateFolder = '/var/lib/hawser/overlay';
const sockets = {
  plugin: '/run/docker/plugins/hawser.sock',
  docker: '/run/docker.sock',
  control: '/run/hawser/overlay.sock',
};
/** How long this machine's own address is believed; it may come by DHCP, after us. */
const SELF_MS = 60_000;

async function run(signal: AbortSignal): Promise<void> {
  const log = journalLog(line => process.stderr.write(`${line}\n`));
  const config = parseJson(AgentConfig, await readFile(agentFiles.config, 'utf8'), agentFiles.config);
  const file = await readOverlayFile(overlayFile);
  const [key, certificate, ca] = [await pem(tls.key), await pem(tls.certificate), await pem(tls.ca)];
  const machine = machineIn(certificate);
  const find = () => findSelf(machine, config.server, file);
  let self = await selfOr(find, join(stateFolder, 'self.json'), log, signal);
  const refresh = setInterval(() => {
    find().then(
      found => (self = found),
      (error: unknown) => log.warn({err: error}, 'the address of this machine is not to be found just now'),
    );
  }, SELF_MS);
  const http = machineHttp({key, certificate, ca, serverName: config.serverName ?? serverStableName});
  try {
    await runOverlay(
      {
        server: httpServer(config.server, http),
        dataplane: kernelDataplane(),
        store: await fileStore(stateFolder, log),
        self: () => self,
        boot: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
        clock: systemClock,
        random: Math.random,
        log,
        sockets,
        containers: containerNamespaces(),
        ...(file.idleSeconds === undefined ? {} : {idleMs: file.idleSeconds * 1000}),
        env: {PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin'},
      },
      signal,
    );
  } finally {
    clearInterval(refresh);
    http.close();
  }
}

/** What was found at the last start counts while the network is not up: Docker waits for our socket. */
async function selfOr(
  find: () => Promise<Self>,
  path: string,
  log: AgentLog,
  signal: AbortSignal,
): Promise<Self> {
  for (;;) {
    try {
      const self = await find();
      await mkdir(stateFolder, {recursive: true, mode: 0o700});
      await writeFileAtomic(path, JSON.stringify(self));
      return self;
    } catch (error) {
      log.warn({err: error}, 'the address of this machine is not to be found yet');
      const kept = await readFile(path, 'utf8').catch(() => undefined);
      if (kept !== undefined) return parseJson(SelfFile, kept, path);
      await systemClock.sleep(1000, signal);
    }
  }
}

const SelfFile = Type.Object({
  machine: Type.String(),
  address: Type.String(),
  mtu: Type.Integer(),
  port: Type.Integer(),
});

async function pem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new OverlayError('bad-config', `${path} cannot be read: this machine is not enrolled`, {
      remedy: 'see systemctl status hawser-enrol',
      cause: error,
    });
  }
}

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
try {
  if (process.argv[2] !== 'run' || process.argv.length !== 3) throw new Error('usage: overlay-agent run');
  await run(stopped.signal);
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
