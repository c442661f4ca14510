/** The few calls that we make to a machine's Docker, by mutual TLS. */
import {readFile} from 'node:fs/promises';
import {request} from 'node:https';
import {join} from 'node:path';
import {Type} from 'typebox';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import {parseJson} from '../../services/common/parse.ts';
import type {Address} from '../driver.ts';

export interface DockerTarget {
  readonly address: Address;
  readonly uuid: string;
  /** Holds `ca.pem`, `cert.pem` and `key.pem`. */
  readonly folder: string;
}

export const certificateFiles = {ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem'} as const;

const MAX_ANSWER_BYTES = 1 << 20;

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
  const [ca, cert, key] = await Promise.all(
    [certificateFiles.ca, certificateFiles.cert, certificateFiles.key].map(file =>
      readFile(join(target.folder, file)),
    ),
  );
  const limit = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: target.address.host,
        port: target.address.port,
        path,
        servername: machineServerName(target.uuid),
        ca,
        cert,
        key,
        agent: false,
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      },
      response => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
          if (body.length > MAX_ANSWER_BYTES) call.destroy(new Error('the answer is too long'));
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`Docker answered ${response.statusCode}`));
        });
      },
    );
    call.on('error', error => reject(limit.aborted ? new Error('no answer in time', {cause: error}) : error));
    call.end();
  });
}
