/** Enrolment as the rest of Hawser uses it: tokens out, certificates out, requests in. */
import {randomBytes} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../../common/clock.ts';
import {EnrolmentConfig, type EnrolmentGrant} from '../../common/contracts/enrolment.ts';
import {createFileOnce} from '../../common/fs-atomic.ts';
import {parseValue, ParseError} from '../../common/parse.ts';
import type {ClientCertificate} from './authority.ts';
import type {EnrolDeps} from './enrol.ts';
import {EnrolmentError} from './errors.ts';
import {createFileStore} from './file-store.ts';
import {book, type TokenOrder} from './ledger.ts';
import {checkExtraNames, checkMachineName} from './names.ts';
import {enrolByConsole, enrolOverSsh, type SshEvidence} from './over-ssh.ts';
import type {MachineConsole} from './ports.ts';
import {deriveToken, TOKEN_KEY_BYTES} from './token.ts';

export {EnrolmentError, type EnrolmentErrorCode} from './errors.ts';
export type {ClientCertificate} from './authority.ts';
export type {TokenOrder} from './ledger.ts';
export type {EnrolmentStore, MachineConsole} from './ports.ts';

/** A machine that has its certificate. */
export interface Enrolled {
  readonly generation: number;
  /** `type base64`, for known_hosts. */
  readonly sshHostKey: string;
  /** PEM. */
  readonly certificate: string;
}

export interface Enrolment {
  /**
   * The contents of a machine's `/etc/hawser/enrolment.json`. The same generation again gives the same bytes, whatever
   * else is asked. `lifetimeSeconds` counts from the first call.
   */
  issue(order: TokenOrder): Promise<EnrolmentConfig>;
  /** Signs a request that was fetched over SSH; see {@link enrolOverSsh}. */
  accept(requestJson: string, evidence: SshEvidence, extraNames?: readonly string[]): Promise<EnrolmentGrant>;
  /** Reads the request over the connection, signs it, and sends the grant back. */
  enrolByConsole(
    console: MachineConsole,
    target: {readonly machine: string; readonly extraNames?: readonly string[]},
  ): Promise<EnrolmentGrant>;
  /** What a machine has become; undefined while it is not enrolled with its newest token. */
  enrolled(machine: string): Promise<Enrolled | undefined>;
  /** Makes the machine's token worthless; part of removing a machine. Fine when it is unknown. */
  forget(machine: string): Promise<void>;
  /** PEM of the fleet's CA: what machines' and servers' certificates are checked against. */
  caPem(): Promise<string>;
  /** The operator's certificate for Docker, in a folder that serves as DOCKER_CERT_PATH; `fresh`: a new one. */
  clientCertificate(user: string, options?: {readonly fresh?: boolean}): Promise<ClientCertificate>;
  /** A fresh key and certificate for a server of ours. */
  serverCertificate(names: readonly string[]): Promise<{key: string; certificate: string}>;
  /** A fresh key and certificate, with a CA of its own, for the etcd that a server starts for itself. */
  storeCertificate(): Promise<{key: string; certificate: string; ca: string}>;
  /** What {@link buildApp} needs to serve the same ledger over HTTPS. */
  deps(): Promise<EnrolDeps>;
}

const MAX_LIFETIME_SECONDS = 7 * 86_400;

/** Opens the enrolment ledger and the CAs in `home`; everything is made on first use. */
export async function openEnrolment(options: {home: string; clock: Clock}): Promise<Enrolment> {
  const {home, clock} = options;
  const folder = join(home, 'enrolment');
  const tokenKey = await openTokenKey(folder);
  const store = createFileStore(join(folder, 'machines'));
  const now = () => Math.floor(clock.now().getTime() / 1000);

  let opened: ReturnType<typeof open> | undefined;
  // Only signing needs the certificate library, which takes a tenth of a second to load.
  const open = async () => (await import('./authority.ts')).openAuthority({home, clock});
  const authority = () => (opened ??= open());
  const deps = async () => ({store, authority: await authority(), tokenKey, now});
  const accept: Enrolment['accept'] = async (json, evidence, names) =>
    enrolOverSsh(json, evidence, await deps(), names);

  return {
    issue: async order => {
      checkMachineName(order.name);
      checkExtraNames(order.names ?? []);
      for (;;) {
        const stored = await store.read(order.machine);
        const {token, changed} = book(stored?.record, order, now());
        const config = checkedConfig({
          machine: order.machine,
          name: token.name,
          generation: token.generation,
          token: deriveToken(tokenKey, order.machine, token.generation),
          expires: token.expires,
          ...(token.server === undefined ? {} : {server: token.server}),
        });
        if (changed === undefined) return config;
        checkLifetime(order.lifetimeSeconds);
        if (await store.write(changed, stored?.version ?? 0)) return config;
      }
    },
    accept,
    enrolByConsole: (console, {machine, extraNames}) =>
      enrolByConsole(console, (json, hostKeySeen) => accept(json, {machine, hostKeySeen}, extraNames)),
    enrolled: async machine => {
      const token = (await store.read(machine))?.record.tokens.at(-1);
      if (token?.issued === undefined) return undefined;
      const {sshHostKey, certificate} = token.issued;
      return {generation: token.generation, sshHostKey, certificate};
    },
    forget: machine => store.remove(machine),
    caPem: async () => (await authority()).fleetCa,
    clientCertificate: async (user, options) => (await authority()).clientCertificate(user, options),
    serverCertificate: async names => (await authority()).signServer(names),
    storeCertificate: async () => (await import('./store-certificate.ts')).createStoreCertificate(clock),
    deps,
  };
}

async function openTokenKey(folder: string): Promise<Uint8Array> {
  await mkdir(folder, {recursive: true, mode: 0o700});
  const path = join(folder, 'token.key');
  // The loser of a race finds the winner's key.
  await createFileOnce(path, randomBytes(TOKEN_KEY_BYTES));
  const key = await readFile(path);
  if (key.length === TOKEN_KEY_BYTES) return key;
  throw new EnrolmentError('store-broken', `${path} is not a key`, {remedy: 'restore it from a backup'});
}

function checkedConfig(config: EnrolmentConfig): EnrolmentConfig {
  try {
    return parseValue(EnrolmentConfig, config, 'the enrolment order');
  } catch (error) {
    if (error instanceof ParseError) throw new EnrolmentError('malformed', error.message, {cause: error});
    throw error;
  }
}

function checkLifetime(seconds: number): void {
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_LIFETIME_SECONDS) return;
  throw new EnrolmentError('malformed', `a token cannot live for ${seconds} s`, {
    remedy: `give a lifetime between 1 s and ${MAX_LIFETIME_SECONDS} s`,
  });
}
