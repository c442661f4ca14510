/** Takes a grant, however it came: checks it, installs it, and gives up the token. */
import {X509Certificate, type KeyObject} from 'node:crypto';
import {mkdir, rm, symlink} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {EnrolmentConfig, EnrolmentGrant} from '../common/contracts/enrolment.ts';
import {grantMac, machineServerName, sameMac} from '../common/enrolment-mac.ts';
import {systemErrorCode} from '../common/errors.ts';
import {syncFolder, writeFileAtomic} from '../common/fs-atomic.ts';
import {EnrolAgentError} from './errors.ts';
import {DOCKER_OPTIONS, type Layout} from './layout.ts';
import {parseGrant, type EnrolledRecord} from './messages.ts';
import {openKey} from './request.ts';
import {readConfig, readEnrolled, readIfThere} from './state.ts';

/**
 * Installs the grant. The same grant again does nothing, so a sender whose connection broke may send it again. Throws
 * `bad-grant`, `other-machine`, `forged-grant`, `wrong-certificate`, `not-configured` or `not-requested`.
 */
export async function acceptGrant(layout: Layout, json: string): Promise<void> {
  const grant = parseGrant(json);
  const config = await readConfig(layout);
  if (config === undefined) return confirmInstalled(layout, grant);

  checkGrant(grant, config);
  if ((await readIfThere(layout.key)) === undefined) {
    throw new EnrolAgentError('not-requested', 'this machine has not made a request yet', {
      remedy: 'run hawser-enrol request first',
    });
  }
  checkCertificate(grant, await openKey(layout));
  await install(layout, grant, config);
}

function checkGrant(grant: EnrolmentGrant, config: EnrolmentConfig): void {
  if (grant.machine !== config.machine || grant.generation !== config.generation) {
    throw new EnrolAgentError(
      'other-machine',
      'the grant is for another machine or another generation of this one',
    );
  }
  if (!sameMac(grantMac(config.token, grant), grant.mac)) {
    throw new EnrolAgentError('forged-grant', "the grant was not made by the holder of this machine's token");
  }
}

function checkCertificate(grant: EnrolmentGrant, key: KeyObject): void {
  let fits: boolean;
  try {
    const certificate = new X509Certificate(grant.certificate);
    const fleetCa = new X509Certificate(grant.fleetCa);
    fits =
      certificate.checkPrivateKey(key) &&
      certificate.checkHost(machineServerName(grant.machine), {subject: 'never'}) !== undefined &&
      certificate.checkIssued(fleetCa) &&
      certificate.verify(fleetCa.publicKey) &&
      new X509Certificate(grant.ca).ca;
  } catch (error) {
    throw wrongCertificate(error);
  }
  if (!fits) throw wrongCertificate();
}

// The token goes last: until then the whole can be done again after any interruption.
async function install(layout: Layout, grant: EnrolmentGrant, config: EnrolmentConfig): Promise<void> {
  for (const path of [layout.fleetCa, layout.enrolled]) await mkdir(dirname(path), {recursive: true});
  await writeFileAtomic(layout.certificate, grant.certificate, 0o644);
  await writeFileAtomic(layout.clientCa, grant.ca, 0o644);
  await writeFileAtomic(layout.fleetCa, grant.fleetCa, 0o644);
  await linkDockerOptions(layout);
  const enrolled: EnrolledRecord = {
    machine: config.machine,
    name: config.name,
    generation: config.generation,
    ...(config.server === undefined ? {} : {server: config.server.url}),
  };
  await writeFileAtomic(layout.enrolled, `${JSON.stringify(enrolled)}\n`, 0o644);
  await rm(layout.config, {force: true});
  await syncFolder(dirname(layout.config));
  await rm(layout.request, {force: true});
}

async function linkDockerOptions(layout: Layout): Promise<void> {
  try {
    await symlink(DOCKER_OPTIONS, layout.dockerOptions);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  await syncFolder(dirname(layout.dockerOptions));
}

// The token is gone, so the grant cannot be checked; it need not be, when it is the one that was installed.
async function confirmInstalled(layout: Layout, grant: EnrolmentGrant): Promise<void> {
  const enrolled = await readEnrolled(layout);
  const installed = await readIfThere(layout.certificate);
  if (enrolled?.machine === grant.machine && installed === grant.certificate) return;
  throw new EnrolAgentError(
    'not-configured',
    enrolled === undefined
      ? 'this machine was not told to enrol'
      : 'this machine is enrolled with another certificate',
  );
}

function wrongCertificate(cause?: unknown): EnrolAgentError {
  return new EnrolAgentError('wrong-certificate', 'the certificate is not for this machine and its key', {
    cause,
  });
}
