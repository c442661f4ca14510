/** Runs `hawser server` from start to ^C. */
import {createHash, X509Certificate} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {schedule} from 'node-cron';
import {systemClock} from '../../common/clock.ts';
import type {CommandContext, CommandInput} from '../../common/command.ts';
import {flagBoolean} from '../../common/command.ts';
import {loginFile, serverStableName, type ServerLogin} from '../../common/contracts/server.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {takeLock} from '../../common/process-lock.ts';
import {openEnrolment, type Enrolment} from '../../provisioner/enrolment/index.ts';
import {createEtcdClient} from '../../update-server/adapters/etcd-store.ts';
import {clientOptions} from '../../update-server/adapters/etcd-credentials.ts';
import {startEmbeddedEtcd, type EmbeddedEtcd} from '../../update-server/adapters/embedded-etcd.ts';
import {ServerError} from '../../update-server/errors.ts';
import type {UpdateService} from '../../update-server/service.ts';
import {openServedRepository} from '../../update-server/releases/served.ts';
import {createToken} from '../../update-server/tokens.ts';
import {machineTools} from '../machine-part.ts';
import {buildServer} from './build.ts';
import {machineLayer} from './machine-layer.ts';
import {isLoopback, readSettings, type ServerSettings} from './settings.ts';

const LOCK_WAIT_MS = 2000;

/** Serves until the signal fires or etcd of our own goes away. */
export async function serve(context: CommandContext, input: CommandInput, version: string): Promise<number> {
  const settings = await readSettings(context, input);
  const {home} = settings;
  await mkdir(join(home, 'server'), {recursive: true, mode: 0o700});
  await using _ = await takeLock({
    path: join(home, 'server', 'lock'),
    busy: pid =>
      new ServerError(
        'in-use',
        `a hawser server runs already${pid === undefined ? '' : ` (process ${pid})`}`,
        {
          remedy: 'stop it first, or give this one another HAWSER_HOME and --etcd',
        },
      ),
    waitMs: LOCK_WAIT_MS,
    clock: systemClock,
    signal: context.signal,
  });
  const enrolment = await openEnrolment({home, clock: systemClock});
  const embedded =
    settings.etcd === undefined
      ? await startEmbeddedEtcd({
          home,
          clock: systemClock,
          signal: context.signal,
          env: plainEnv(context),
          issue: () => enrolment.storeCertificate(),
        })
      : undefined;
  try {
    return await serveOver({context, input, settings, version, enrolment, embedded});
  } finally {
    await embedded?.stop();
  }
}

interface Serving {
  readonly context: CommandContext;
  readonly input: CommandInput;
  readonly settings: ServerSettings;
  readonly version: string;
  readonly enrolment: Enrolment;
  readonly embedded: EmbeddedEtcd | undefined;
}

async function serveOver(serving: Serving): Promise<number> {
  const {context, input, settings, version, enrolment, embedded} = serving;
  const {home, listen} = settings;
  const etcd = createEtcdClient(await etcdOptions(settings, embedded));
  try {
    const fleetCa = await enrolment.caPem();
    const certificate = await enrolment.serverCertificate(settings.serverNames);
    const {app, service} = await buildServer({
      etcd,
      clock: systemClock,
      version,
      repository: settings.repository,
      repositories: settings.repositories,
      enrolment: await enrolment.deps(),
      tls: {...certificate, fleetCa},
      logLevel: settings.logLevel,
      machines: machineLayer(machineTools.runtime(context)),
    });
    try {
      // Before anybody can connect: TLS is there, and now the token is (DESIGN D13).
      const token = await firstTokens(service, settings, flagBoolean(input.flags, 'new-admin-token'));
      const address = await app.listen({host: listen.host, port: listen.port});
      // The port may have been chosen by the system.
      await rememberLogin(home, token?.lasting, address, fleetCa);
      context.warn(`hawser server on ${address}, certificate for ${serverStableName}; stop with ^C`);
      context.warn(`fleet CA fingerprint (SHA-256): ${fingerprint(fleetCa)}`);
      if (token !== undefined) {
        context.warn('one-time admin token, shown this once, for hawser login on another host:');
        context.print(token.oneTime);
      }
      if (!isLoopback(listen.host))
        context.warn('reachable from other hosts: operators need tokens, machines certificates');
      const wake = schedule('* * * * * *', () => service.conductor.tick(), {
        name: 'rollouts',
        // A late wake-up is made up for by the next: what is due is read from the clock.
        suppressMissedWarning: true,
      });
      // Timestamps are due after a day; an hour's delay is nothing to them.
      const served = openServedRepository(settings.repository, systemClock);
      const refresh = async (): Promise<void> => {
        try {
          if (!(await served.exists())) return;
          const {signed} = await served.refresh(context.signal);
          if (signed.length > 0) app.log.info({signed}, 'repository signed anew');
        } catch (error) {
          app.log.error({err: error}, 'the repository could not be signed anew');
        }
      };
      const sign = schedule('17 * * * *', refresh, {name: 'signatures', noOverlap: true});
      await refresh();
      const ended = await Promise.race([aborted(context.signal), embedded?.ended ?? aborted(context.signal)]);
      await wake.destroy();
      await sign.destroy();
      if (ended === undefined) return 0;
      throw new ServerError('etcd-failed', `etcd ended: ${ended}`, {remedy: 'start hawser server again'});
    } finally {
      await app.close();
    }
  } finally {
    etcd.close();
  }
}

/** The first start makes two: one is written for the commands on this host, one is printed for another. */
async function firstTokens(
  service: UpdateService,
  settings: ServerSettings,
  wanted: boolean,
): Promise<{readonly lasting?: string; readonly oneTime: string} | undefined> {
  const first = service.fleet.tokens.size === 0 && service.fleet.unreadable.size === 0;
  if (!first && !wanted) return undefined;
  const wish = {name: 'admin', role: 'admin', by: `hawser server in ${settings.home}`} as const;
  const oneTime = await createToken(service.changer, {...wish, oneTime: true});
  return first ? {oneTime, lasting: await createToken(service.changer, wish)} : {oneTime};
}

/** Written at the first start; at later ones only the address is brought up to date. */
async function rememberLogin(
  home: string,
  token: string | undefined,
  address: string,
  ca: string,
): Promise<void> {
  const path = join(home, ...loginFile);
  const url = address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
  let kept = token;
  if (kept === undefined) {
    const before: unknown = JSON.parse(await readFile(path, 'utf8').catch(() => '{}'));
    if (typeof before !== 'object' || before === null || !('token' in before) || !('local' in before)) return;
    kept = String(before.token);
  }
  const login: ServerLogin & {local: true} = {
    url,
    ca,
    serverName: serverStableName,
    token: kept,
    local: true,
  };
  await writeFileAtomic(path, JSON.stringify(login), 0o600);
}

async function etcdOptions(settings: ServerSettings, embedded: EmbeddedEtcd | undefined) {
  if (embedded !== undefined) return clientOptions(embedded.url, embedded.credentials);
  const {hosts = [], ca, certificate, key} = settings.etcd ?? {};
  if (ca === undefined) {
    const open = hosts.find(host => !isLoopback(new URL(host).hostname));
    if (open === undefined) return {hosts};
    throw new ServerError('bad-setting', `etcd at ${open} would be spoken to without a CA`, {
      remedy: 'give --etcd-ca, --etcd-cert and --etcd-key',
    });
  }
  return {
    hosts,
    tls: {
      ca: await readFile(ca),
      ...(certificate === undefined ? {} : {certificate: await readFile(certificate)}),
      ...(key === undefined ? {} : {key: await readFile(key)}),
    },
  };
}

function fingerprint(pem: string): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}

function plainEnv({env}: CommandContext): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'TMPDIR'].flatMap(name => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(kept);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), {once: true});
  });
}
