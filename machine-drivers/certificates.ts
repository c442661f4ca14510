/**
 * New certificates for a machine that has some: the next generation's token over the proven connection, then
 * enrolment as on the first day. Containers run on, as Docker's live restore has it.
 */
import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {withStep} from '../services/common/progress.ts';
import type {Progress} from '../services/common/progress.ts';
import {accessOf, sshTarget} from './access.ts';
import {ensureClientCertificate} from './docker/certificate.ts';
import {enrolmentScript} from './enrol.ts';
import {MachineError} from './errors.ts';
import {expectFinished, expectState, withMachine} from './lifecycle.ts';
import type {Held} from './lifecycle.ts';
import {TOKEN_LIFETIME_SECONDS, viewOf} from './machine.ts';
import type {MachineDeps} from './machine.ts';
import {observeMachine} from './observation.ts';
import {knownHostsFile, recordedHostKey, sshArguments} from './ssh/connection.ts';
import {runRootScript} from './ssh/root-script.ts';

const SCRIPT_TIMEOUT_MS = 180_000;

/** Brings a running machine to where `create` left it: reachable, enrolled, Docker answering. */
export async function provisionMachine(
  deps: MachineDeps,
  name: string,
  seconds: number,
  progress: Progress,
): Promise<void> {
  await withMachine(deps, name, async held => {
    expectFinished(held);
    await expectState(held, ['Running'], 'not-running');
    const access = await accessOf(deps, held.driver, held.stored, seconds);
    await withStep(progress, `Waiting for SSH on "${name}"`, () => deps.access.ssh(access, true));
    await withStep(progress, `Copying certs to "${name}"`, () => deps.access.enrol(access));
    await withStep(progress, `Checking connection to Docker on "${name}"`, () => deps.access.docker(access));
  });
}

/** Makes new certificates: the machine's, and with `client` the operator's own for it too. */
export async function regenerateCertificates(
  deps: MachineDeps,
  name: string,
  wish: {readonly client: boolean; readonly seconds: number},
  progress: Progress,
): Promise<void> {
  await withMachine(deps, name, async held => {
    expectFinished(held);
    await expectState(held, ['Running'], 'not-running');
    await withStep(progress, `Regenerating TLS certificates of "${name}"`, () => renew(deps, held));
    if (wish.client) {
      await ensureClientCertificate(deps.runtime, held.stored.folder, deps.runtime.operator, {fresh: true});
    }
    const access = await accessOf(deps, held.driver, held.stored, wish.seconds);
    await withStep(progress, `Checking connection to Docker on "${name}"`, () => deps.access.docker(access));
  });
}

async function renew(deps: MachineDeps, {stored, driver, host}: Held): Promise<void> {
  const {folder} = stored;
  // Durable first: a generation that was begun is never used for another token.
  const record = {...stored.record, generation: stored.record.generation + 1};
  await deps.store.replace(record);
  await rm(join(folder, 'grant.json'), {force: true});
  const {machine} = await observeMachine(driver, viewOf(stored), host);
  const target = sshTarget(driver, record, machine);
  const ssh = sshArguments(target, {proven: true, batch: true});
  const limit = {timeoutMs: SCRIPT_TIMEOUT_MS, signal: deps.signal};
  const enrolment = await deps.runtime.enrolment();
  const config = await enrolment.issue({
    machine: record.uuid,
    name: record.name,
    generation: record.generation,
    lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
  });
  await runRootScript(ssh, enrolmentScript(config), limit);
  await deps.access.enrol({
    deps,
    driver,
    record,
    machine,
    seconds: SCRIPT_TIMEOUT_MS / 1000,
    hostKey: await provenHostKey(folder, record.uuid),
  });
  // dockerd reads its certificate at its start only.
  await runRootScript(ssh, 'systemctl try-restart docker.service\n', limit);
}

async function provenHostKey(folder: string, uuid: string): Promise<string> {
  const path = join(folder, knownHostsFile);
  const key = recordedHostKey(await readFile(path, 'utf8'), uuid);
  if (key !== undefined) return key;
  throw new MachineError('store-damaged', `${path} does not hold the machine's key`, {
    remedy: 'restore it from a backup',
  });
}
