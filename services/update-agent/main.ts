/** The update agent's program: `run` and `verdict` for systemd, the rest as `hawserctl` for people. */
import {mkdir, readFile, stat} from 'node:fs/promises';
import {hostname} from 'node:os';
import {dirname, join} from 'node:path';
import {parseArgs} from 'node:util';
import {systemClock} from '../common/clock.ts';
import {serverStableName} from '../common/contracts/server.ts';
import {agentFiles, type AgentConfig} from '../common/contracts/agent.ts';
import {describeError} from '../common/errors.ts';
import {takeLock} from '../common/process-lock.ts';
import {systemBoot} from './adapters/boot.ts';
import {dockerApi} from './adapters/docker.ts';
import {loaderVariables} from './adapters/efi-variables.ts';
import {Esp} from './adapters/esp.ts';
import {kernelPlaces, readFacts, readOwn} from './adapters/facts.ts';
import {machineHttp} from '../common/machine-http.ts';
import {recordFile} from './adapters/record-file.ts';
import {isBelow, repositoriesOr, signedReleases} from './adapters/releases.ts';
import {httpServer} from './adapters/server.ts';
import {slotWriter} from './adapters/slot-writer.ts';
import {wakeIn, wakeNow} from './adapters/wake.ts';
import {defaults, readConfig, readName, settingsOf} from './config.ts';
import {drains} from './drain/drain.ts';
import {UpdateAgentError} from './errors.ts';
import {healthChecks} from './health/health.ts';
import {observe} from './health/observe.ts';
import {runChecks} from './health/operator-checks.ts';
import {nextWakeSeconds} from './pace.ts';
import {createHttpFetch} from './payload/http-fetch.ts';
import {stagePayload} from './payload/stage-payload.ts';
import type {AgentPorts, SlotPort} from './ports.ts';
import {runAgent, type RunOptions, type RunResult} from './runner.ts';
import {historyLines, statusLines} from './status.ts';

const USAGE = `usage: hawserctl status               what runs, what is staged, what is waited for
       hawserctl check                ask the server now
       hawserctl apply [--allow-downgrade]
                                      install what the server offers now, under the reboot lock
       hawserctl rollback             boot the release in the other slot, under the reboot lock
       hawserctl history              what happened, oldest first`;

const tls = {
  key: '/etc/docker/tls/server-key.pem',
  certificate: '/etc/docker/tls/server.pem',
  ca: '/etc/hawser/fleet-ca.pem',
};
const enrolledRecord = '/var/lib/hawser/enrolled.json';
const efiVariables = '/sys/firmware/efi/efivars';
const processLock = '/run/hawser/update.lock';

interface Agent {
  readonly config: AgentConfig;
  readonly ports: AgentPorts;
  close(): void;
  run(options?: Partial<RunOptions>): Promise<RunResult>;
}

async function build(signal: AbortSignal, log: (line: string) => void): Promise<Agent> {
  const config = await readConfig();
  const settings = settingsOf(config, await readName(enrolledRecord, hostname()));
  const [key, certificate, ca] = [
    await readPem(tls.key),
    await readPem(tls.certificate),
    await readPem(tls.ca),
  ];
  const serverName = config.serverName ?? serverStableName;
  const http = machineHttp({key, certificate, ca, serverName});
  const atServer = createHttpFetch({key, cert: certificate, ca, servername: serverName});
  const elsewhere = createHttpFetch();
  const close = () => {
    http.close();
    atServer.close();
    elsewhere.close();
  };
  const esp = new Esp('/boot');
  const docker = dockerApi('/run/docker.sock');
  const monotonicMs = () => performance.now();
  const slots = slotWriter({
    places: kernelPlaces,
    esp,
    variables: loaderVariables(efiVariables),
    stagePayload,
    fetch: request => (isBelow(request.url, config.server) ? atServer : elsewhere).fetch(request),
    bytesPerSecond: config.bytesPerSecond,
    signal,
    log,
  });
  const ports: AgentPorts = {
    facts: () => readFacts(kernelPlaces, esp),
    record: recordFile(join(agentFiles.state, 'record.json')),
    server: httpServer(config.server, http),
    releases: signedReleases({
      http,
      root: await readFile(agentFiles.trustedRoot),
      folder: join(agentFiles.state, 'metadata'),
      server: config.server,
      // The image's files carry the time of its build.
      notBefore: (await stat(kernelPlaces.osRelease)).mtime,
      now: () => new Date(),
      signal,
      log,
    }),
    slots: withRepositories(slots, config.server),
    boot: systemBoot(esp, async () => (await readOwn(kernelPlaces)).version, log),
    health: healthChecks({
      baseline: join(agentFiles.state, 'baseline.json'),
      timeoutSeconds: config.health?.timeoutSeconds ?? defaults.healthSeconds,
      settleSeconds: config.health?.settleSeconds ?? defaults.settleSeconds,
      clock: systemClock,
      monotonicMs,
      observe: () => observe(docker, kernelPlaces.osRelease),
      runChecks: () => runChecks(agentFiles.healthChecks),
      log,
    }),
    drain: drains({
      marker: join(agentFiles.state, 'draining'),
      hooks: agentFiles.drainHooks,
      ports: config.drain?.ports,
      leaveSeconds: config.drain?.leaveSeconds ?? defaults.leaveSeconds,
      timeoutSeconds: config.drain?.timeoutSeconds ?? defaults.drainSeconds,
      docker,
      clock: systemClock,
      monotonicMs,
      log,
    }),
    log,
  };
  return {config, ports, close, run: (options = {}) => runAgent(ports, systemClock, {settings, ...options})};
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UpdateAgentError('bad-config', `${path} cannot be read: this machine is not enrolled`, {
      remedy: 'see systemctl status hawser-enrol',
      cause: error,
    });
  }
}

function withRepositories(slots: SlotPort, server: string): SlotPort {
  return {
    ...slots,
    stage: (release, repositories, onProgress) =>
      slots.stage(release, repositoriesOr(repositories, server), onProgress),
  };
}

async function locked<T>(signal: AbortSignal, waitMs: number, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(processLock), {recursive: true});
  const held = await takeLock({
    path: processLock,
    busy: holder =>
      new UpdateAgentError('busy', `an update is going on (process ${holder ?? 'unknown'})`, {
        remedy: 'see hawserctl status, or journalctl -fu hawser-update',
      }),
    waitMs,
    clock: systemClock,
    signal,
  });
  try {
    return await work();
  } finally {
    await held[Symbol.asyncDispose]();
  }
}

/** Runs until there is something to wait for, and plans the run after that. */
async function runToRest(agent: Agent, options: Partial<RunOptions> = {}): Promise<RunResult> {
  // `now` begins anew from what is on disk; two in a row are the most that an update needs.
  let result = await agent.run(options);
  for (let again = 0; result.wake === 'now' && again < 3; again += 1) result = await agent.run();
  const seconds = nextWakeSeconds({
    wake: result.wake,
    pollSeconds:
      Math.max(result.record.pollSeconds ?? 0, agent.config.pollSeconds ?? 0) || defaults.pollSeconds,
    putOffs: result.record.putOffs,
    random: Math.random(),
  });
  if (seconds !== undefined) await wakeIn(seconds);
  return result;
}

async function command(words: readonly string[], signal: AbortSignal): Promise<number> {
  const {values, positionals} = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {'allow-downgrade': {type: 'boolean', default: false}},
  });
  const [word = '', ...rest] = positionals;
  if (
    rest.length > 0 ||
    !['run', 'verdict', 'status', 'check', 'apply', 'rollback', 'history'].includes(word)
  ) {
    console.error(USAGE);
    return 1;
  }
  const agent = await build(signal, line => console.error(line));
  try {
    const {record, facts} = {record: () => agent.ports.record.load(), facts: () => agent.ports.facts()};
    switch (word) {
      case 'run':
        await locked(signal, 60_000, () => runToRest(agent));
        return 0;
      case 'verdict':
        return await locked(signal, 60_000, () => verdict(agent, signal));
      case 'status':
        print(statusLines(await record(), await facts(), agent.config.server));
        return 0;
      case 'history':
        print(historyLines(await record()));
        return 0;
      case 'check':
        return finish(await locked(signal, 5000, () => runToRest(agent)));
      case 'apply':
        return finish(
          await locked(signal, 5000, () =>
            runToRest(agent, {operator: {apply: true, allowDowngrade: values['allow-downgrade']}}),
          ),
        );
      default:
        return finish(await locked(signal, 5000, () => rollback(agent)));
    }
  } finally {
    agent.close();
  }
}

async function rollback(agent: Agent): Promise<RunResult> {
  const {other} = await agent.ports.facts();
  const {staged} = await agent.ports.record.load();
  if (other === undefined || staged !== undefined) {
    throw new UpdateAgentError('no-release', 'the other slot holds no release that has proven itself');
  }
  return runToRest(agent, {first: {kind: 'rollback-asked', release: other}});
}

/** The gate: fails only when it has to, so that the unit's FailureAction= reboots. */
async function verdict(agent: Agent, signal: AbortSignal): Promise<number> {
  const {trial} = await agent.ports.record.load();
  const {own} = await agent.ports.facts();
  if (trial === undefined || trial.rootHash !== own.rootHash) return 0; // a first boot, or one by hand
  const {state, wake} = await agent.run({gate: true});
  if (wake === 'now') await wakeNow(); // after systemd-bless-boot, by its After=
  if (wake !== 'never') return state.phase === 'proving' && state.verdict === 'healthy' ? 0 : 1;
  // Unhealthy, and the reboot is on its way: boot-complete.target must not be reached meanwhile.
  await systemClock.sleep(10 * 60_000, signal);
  return 1;
}

function finish({state, waitsFor}: RunResult): number {
  print([`phase     ${state.phase}`, ...(waitsFor === undefined ? [] : [`waits for ${waitsFor}`])]);
  return 0;
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
try {
  process.exitCode = await command(process.argv.slice(2), stopped.signal);
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
