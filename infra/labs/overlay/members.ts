/** Three members of etcd, each on a machine of the lab of its own; clients need a certificate, as with any that is not on loopback. */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../../services/provisioner/enrolment/certificates.ts';
import type {LabMachine} from '../../../test/cluster/support/lab.ts';

export interface Member {
  readonly name: string;
  start(): void;
  kill(): Promise<void>;
  tell(signal: NodeJS.Signals): void;
}

/** Files of one certificate for members and clients alike, and of the CA that signed it. */
export interface StoreTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Makes them in `folder`, good for an hour's campaign. */
export async function makeStoreTls(machines: readonly LabMachine[], folder: string): Promise<StoreTls> {
  const span = {notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 86_400_000)};
  const ca = await createCa('campaign', span);
  const {key, publicKey} = await createLeafKey();
  const names = {dns: [], ip: machines.map(({address}) => address)};
  const leaf = {commonName: 'campaign', publicKey, names, use: ['server', 'client'] as const, ...span};
  const certificate = await signLeaf(await loadSigner(ca), leaf);
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
  };
  await writeFile(files.ca, ca.certificate);
  await writeFile(files.certificate, certificate);
  await writeFile(files.key, key, {mode: 0o600});
  return files;
}

export const clientUrl = ({address}: LabMachine): string => `https://${address}:2379`;

export function membersOn(machines: readonly LabMachine[], folder: string, tls: StoreTls): Member[] {
  const peers = machines.map(({name, address}) => `${name}=http://${address}:2380`).join(',');
  return machines.map(machine => {
    const {name, address, enter} = machine;
    let child: ChildProcess | undefined;
    const flags = {
      name,
      'data-dir': join(folder, name),
      'log-level': 'fatal',
      'listen-client-urls': clientUrl(machine),
      'advertise-client-urls': clientUrl(machine),
      'cert-file': tls.certificate,
      'key-file': tls.key,
      'trusted-ca-file': tls.ca,
      'client-cert-auth': 'true',
      'listen-peer-urls': `http://${address}:2380`,
      'initial-advertise-peer-urls': `http://${address}:2380`,
      'initial-cluster': peers,
    };
    // Of its namespaces only the network: a signal then reaches etcd itself.
    const [, , inner = ''] = enter;
    const argv = [`--net=/proc/${inner}/ns/net`, '--', 'setpriv', '--pdeathsig', 'KILL', 'etcd'];
    const living = () => (child?.exitCode === null && child.signalCode === null ? child : undefined);
    return {
      name,
      start: () => {
        if (living() !== undefined) return;
        const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
        child = spawn('nsenter', [...argv, ...words], {stdio: 'ignore'});
      },
      kill: async () => {
        const running = living();
        if (running === undefined) return;
        const gone = once(running, 'exit');
        running.kill('SIGKILL');
        await gone;
      },
      tell: signal => void living()?.kill(signal),
    };
  });
}

/** Resolves when a majority answers. Throws when it does not for a minute. */
export async function answers(
  machines: readonly LabMachine[],
  enterHub: readonly string[],
  {ca, certificate, key}: StoreTls,
): Promise<void> {
  const endpoints = machines.map(clientUrl).join(',');
  const tls = [`--cacert=${ca}`, `--cert=${certificate}`, `--key=${key}`];
  for (let left = 60; left > 0; left--) {
    const argv = [...enterHub, 'etcdctl', `--endpoints=${endpoints}`, ...tls, 'put', '/lab', 'x'];
    const done = await exec(argv, {timeoutMs: 10_000, env: {PATH: '/usr/bin:/bin', ETCDCTL_API: '3'}}).catch(
      () => undefined,
    );
    if (done !== undefined) return;
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
  throw new Error('etcd does not come up');
}

/** All that the members know is gone. */
export async function wipe(members: readonly Member[], folder: string): Promise<void> {
  for (const member of members) await member.kill();
  for (const {name} of members) await rm(join(folder, name), {recursive: true, force: true});
  for (const member of members) member.start();
}
