/** The few calls that we make to a machine's Docker, by mutual TLS. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import {parseJson} from '../../services/common/parse.ts';
import type {Address} from '../driver.ts';
import {callDocker, type DockerEndpoint} from './call.ts';

export interface DockerTarget {
  readonly address: Address;
  readonly uuid: string;
  /** Holds `ca.pem`, `cert.pem` and `key.pem`. */
  readonly folder: string;
}

export const certificateFiles = {ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem'} as const;

/** Resolves when the daemon answers its health call with 200. */
export async function ping(target: DockerTarget, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  await get(target, '/_ping', timeoutMs, signal);
}

const Version = Type.Object({Version: Type.String()});

/** The version of the machine's Docker, for instance `26.1.5`. */
export async function dockerVersion(
  target: DockerTarget,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string> {
  return parseJson(Version, await get(target, '/version', timeoutMs, signal), "Docker's answer").Version;
}

/** The certificate must carry the machine's stable name, whatever address is called. */
async function get(
  target: DockerTarget,
  path: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string> {
  return callDocker(await endpointOfTarget(target), {path, timeoutMs, signal});
}

/** Where `target` is called and by which certificate. */
export async function endpointOfTarget(target: DockerTarget): Promise<DockerEndpoint> {
  const read = (file: string) => readFile(join(target.folder, file));
  const [ca, cert, key] = await Promise.all([
    read(certificateFiles.ca),
    read(certificateFiles.cert),
    read(certificateFiles.key),
  ]);
  const {host, port} = target.address;
  return {host, port, servername: machineServerName(target.uuid), ca, cert, key};
}
