/** Builders for enrolment tests: a scratch home, a clock that is told the time, and machines with real keys. */
import {generateKeyPairSync, randomUUID, type KeyObject} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {Clock} from '../../../services/common/clock.ts';
import type {EnrolmentConfig, EnrolmentRequest} from '../../../services/common/contracts/enrolment.ts';
import {requestMac} from '../../../services/common/enrolment-mac.ts';
import {createCsr} from '../../../services/enrol-agent/csr.ts';
import {openEnrolment, type Enrolment} from '../../../services/provisioner/enrolment/index.ts';

export const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBP0VcgQ1xYGv8AmF1l8nC7xGBqJxPnHUvX6aQYdOKBf';
export const OTHER_HOST_KEY =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq2h8f1O5VGp3bRzXyQ6cW0uT9jK4mN7sLxEvDiA1aB';

/** A folder that is gone when the test ends, however it ends. */
export async function tempFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-enrol-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  return folder;
}

export interface ManualClock extends Clock {
  advance(seconds: number): void;
}

/** Begins at the real time, since TLS and OpenSSL look at that. */
export function manualClock(): ManualClock {
  let now = Date.now();
  return {
    now: () => new Date(now),
    sleep: () => Promise.reject(new Error('nothing here sleeps')),
    advance: seconds => {
      now += seconds * 1000;
    },
  };
}

export interface Bench {
  readonly home: string;
  readonly clock: ManualClock;
  readonly enrolment: Enrolment;
  /** Issues a token to a new machine. */
  readonly newMachine: (over?: {lifetimeSeconds?: number; name?: string}) => Promise<EnrolmentConfig>;
}

export async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await tempFolder(t);
  const clock = manualClock();
  const enrolment = await openEnrolment({home, clock});
  return {
    home,
    clock,
    enrolment,
    newMachine: over =>
      enrolment.issue({machine: randomUUID(), name: 'web-1', generation: 1, lifetimeSeconds: 600, ...over}),
  };
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey;
}

/** The request that a machine with this configuration and key makes. */
export function requestOf(
  config: Pick<EnrolmentConfig, 'machine' | 'generation' | 'token'>,
  key: KeyObject,
  over: Partial<Omit<EnrolmentRequest, 'mac'>> = {},
): EnrolmentRequest {
  const {machine, generation} = config;
  const unsigned = {machine, generation, csr: createCsr(key, 'asked'), sshHostKey: HOST_KEY, ...over};
  return {...unsigned, mac: requestMac(config.token, unsigned)};
}

/** Asserts that `work` is refused with `code`. */
export async function refuses(
  t: ExecutionContext,
  code: string,
  work: () => Promise<unknown>,
): Promise<void> {
  const error = await t.throwsAsync(work);
  t.is((error as {code?: unknown} | undefined)?.code, code, error?.message);
}
