/** A machine that a test can update: its configuration, its certificates, and what a test tells it. */
import {setTimeout as sleep} from 'node:timers/promises';
import {serverStableName} from '../../../services/common/contracts/server.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
} from '../../../services/provisioner/enrolment/certificates.ts';
import type {Machine} from '../../support/vm/machine.ts';
import type {Vm} from '../../support/vm/vm.ts';
import {configFor, file} from '../first-boot/lab.ts';

/** Where the machine finds its server. */
export const address = '10.0.2.100';
export const port = 8443;

/** A container out of the host's own programs: nothing has to be fetched. */
export const startContainer = `
mkdir -p /tmp/r/usr && ln -sfn usr/lib /tmp/r/lib && ln -sfn usr/lib64 /tmp/r/lib64 &&
tar -c -C /tmp/r . | docker import - base > /dev/null &&
docker run -d --name web --restart=always --network=none -v /usr:/usr:ro base /usr/bin/sleep infinity > /dev/null`;

export interface TestCertificates {
  readonly server: {readonly ca: string; readonly key: string; readonly certificate: string};
  readonly machine: {readonly key: string; readonly certificate: string};
}

export interface UpdatableOptions {
  readonly tls: TestCertificates;
  /** The trusted root of the repository. */
  readonly root: Uint8Array;
  /** The operator's checks: name to script. */
  readonly health?: Readonly<Record<string, string>>;
}

/** Ignition config of a machine that is enrolled already, and updates when it is told to. */
export function updatableConfig(
  machine: Machine,
  {tls, root, health = {}}: UpdatableOptions,
): Record<string, unknown> {
  return configFor(machine, {
    storage: {
      files: [
        file(
          '/etc/hawser/update.json',
          JSON.stringify({
            server: `https://${address}:${port}/`,
            labels: {role: 'test'},
            drain: {leaveSeconds: 1, timeoutSeconds: 60},
            health: {timeoutSeconds: 60, settleSeconds: 2},
          }),
        ),
        file('/etc/hawser/tuf-root.json', Buffer.from(root).toString('utf8')),
        file('/etc/hawser/fleet-ca.pem', tls.server.ca),
        file('/etc/docker/tls/server.pem', tls.machine.certificate),
        file('/etc/docker/tls/server-key.pem', tls.machine.key, {mode: 0o600}),
        ...Object.entries(health).map(([name, script]) =>
          file(`/etc/hawser/health.d/${name}`, script, {mode: 0o755}),
        ),
        // The test says when: no run by a timer in between.
        file(
          '/etc/systemd/system/hawser-update.timer.d/10-test.conf',
          '[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnActiveSec=1d\n',
        ),
      ],
    },
  });
}

export async function startUpdate(vm: Vm): Promise<void> {
  await vm.ssh('sudo systemctl start --no-block hawser-update.service');
}

export async function until(what: string, seconds: number, done: () => boolean): Promise<void> {
  for (let left = seconds; !done(); left -= 1) {
    if (left <= 0) throw new Error(`waited ${seconds} s for ${what}`);
    await sleep(1000);
  }
}

export async function makeCertificates(): Promise<TestCertificates> {
  const validity = {notBefore: new Date('2020-01-01'), notAfter: new Date('2099-01-01')};
  const ca = await createCa('a fleet', validity);
  const signer = await loadSigner(ca);
  const [server, machine] = [await createLeafKey(), await createLeafKey()];
  return {
    server: {
      ca: ca.certificate,
      key: server.key,
      certificate: await signLeaf(signer, {
        commonName: 'server',
        publicKey: server.publicKey,
        use: ['server'],
        names: {dns: [serverStableName], ip: []},
        ...validity,
      }),
    },
    machine: {
      key: machine.key,
      certificate: await signLeaf(signer, {
        commonName: 'machine',
        publicKey: machine.publicKey,
        use: ['client'],
        ...validity,
      }),
    },
  };
}
