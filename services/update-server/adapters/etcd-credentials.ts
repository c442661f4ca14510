/**
 * What lets `hawser server`, and nobody else on the host, into the etcd that it started: a certificate that is etcd's as
 * server, as peer and as client, in files that this user alone can read.
 */
import {mkdir, readFile} from 'node:fs/promises';
import {request} from 'node:https';
import {join} from 'node:path';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import type {EtcdOptions} from './etcd-store.ts';

/** PEM. */
export interface EtcdCredentials {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const names = {ca: 'ca.pem', certificate: 'cert.pem', key: 'key.pem'} as const;
const HEALTH_MS = 2000;

/** Writes them for an etcd that is about to start. */
export async function writeCredentials(folder: string, credentials: EtcdCredentials): Promise<void> {
  await mkdir(folder, {recursive: true, mode: 0o700});
  for (const each of ['ca', 'certificate', 'key'] as const)
    await writeFileAtomic(join(folder, names[each]), credentials[each], 0o600);
}

/** Those of an etcd that runs already. */
export async function readCredentials(folder: string): Promise<EtcdCredentials> {
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  return {
    ca: await read(names.ca),
    certificate: await read(names.certificate),
    key: await read(names.key),
  };
}

/** For a client of the etcd at `url`. */
export function clientOptions(url: string, {ca, certificate, key}: EtcdCredentials): EtcdOptions {
  const tls = {ca: Buffer.from(ca), certificate: Buffer.from(certificate), key: Buffer.from(key)};
  return {hosts: [url], tls: {...tls, serverName: 'localhost'}};
}

/** etcd's flags for both of its ports: who has no certificate of this CA is refused in the handshake. */
export function tlsFlags(folder: string): readonly string[] {
  const file = (name: string) => join(folder, name);
  return ['', 'peer-'].flatMap(side => [
    `--${side}client-cert-auth`,
    `--${side}trusted-ca-file=${file(names.ca)}`,
    `--${side}cert-file=${file(names.certificate)}`,
    `--${side}key-file=${file(names.key)}`,
  ]);
}

export function isHealthy(url: string, {ca, certificate, key}: EtcdCredentials): Promise<boolean> {
  return new Promise(resolve => {
    const signal = AbortSignal.timeout(HEALTH_MS);
    const asked = request(`${url}/health`, {ca, cert: certificate, key, agent: false, signal}, answer => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve(answer.statusCode === 200 && text.includes('true')));
      answer.on('error', () => resolve(false));
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
