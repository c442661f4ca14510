/** The demonstration's stage: the machines become a cluster, run one service, and stand behind one address. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import type {Progress} from '../../services/common/progress.ts';
import {startBalancer, type Balancer} from './balancer.ts';
import {createService, importImage, removeContainer, type DockerEndpoint} from './docker.ts';
import {hawser} from './hawser.ts';
import {readyPort, type QuickMachine} from './machines.ts';
import {webPort, webRootArchive} from './web-image.ts';
import {serviceRequest} from './web-service.ts';

export const clusterName = 'quick';
const SERVICE_SECONDS = 300;

export interface OneAddress {
  readonly balancer: Balancer;
  /** Machines that run the service at any time; one more than these is free to be drained. */
  readonly replicas: number;
}

/** Every step can be done again; what is there stays. */
export async function standBehindOneAddress(
  machines: readonly QuickMachine[],
  folder: string,
  port: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<OneAddress> {
  const names = machines.map(({name}) => name);
  await hawser(['cluster', 'init', clusterName, '--machines', names.join(',')], {
    signal,
    onLine: line => progress.note(`  ${line}`),
  });
  const archive = await webRootArchive();
  const endpoints = await Promise.all(machines.map(dockerEndpoint));
  for (const endpoint of endpoints) {
    await importImage(endpoint, 'hawser-web', archive);
    // The first demonstration's container holds the port.
    await removeContainer(endpoint, 'hello');
  }
  // Replacements of a drained machine's tasks need a machine to go to: one is always free.
  const replicas = Math.max(1, machines.length - 1);
  const [first] = endpoints;
  if (first === undefined) throw new Error('no machine');
  await createService(first, serviceRequest({name: 'web', image: 'hawser-web', version: '1.0.0', replicas}));
  const balancer = await startBalancer({
    listen: {host: '127.0.0.1', port},
    servers: machines.map(machine => ({
      name: machine.name,
      host: '127.0.0.1',
      servicePort: publishedPort(machine, webPort),
      readyPort: publishedPort(machine, readyPort),
    })),
    folder,
    servicePath: '/',
  });
  await balancer.untilUp(replicas, SERVICE_SECONDS, signal);
  progress.note(`  ${balancer.url} stands before ${names.join(', ')}; ${replicas} of them run the service`);
  return {balancer, replicas};
}

function publishedPort(machine: QuickMachine, guest: number): number {
  const found = machine.publish.find(pair => pair.guest === guest);
  if (found !== undefined) return found.host;
  throw new Error(
    `${machine.name} was made without a way to its port ${guest}: remove it and run this again`,
  );
}

async function dockerEndpoint(machine: QuickMachine): Promise<DockerEndpoint> {
  const read = (file: string) => readFile(join(machine.folder, file));
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
  return {...machine.docker, servername: machineServerName(machine.uuid), ca, cert, key};
}
