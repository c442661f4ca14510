/** docker-machine's flags of `create` that are not the driver's: `--engine-*`, `--swarm*`, `--tls-san`. */
import {flagList, flagString} from '../../services/common/command.ts';
import type {Flag, FlagValues} from '../../services/common/command.ts';
import type {EngineOptions} from '../engine-options.ts';

const swarmGone = 'standalone Swarm is gone; make machines, then join them with hawser cluster';

function swarm(name: string, type: Flag['type'] = 'string'): Flag {
  return {name, type, summary: 'standalone Swarm', refused: swarmGone};
}

export const engineFlags: readonly Flag[] = [
  {
    name: 'engine-install-url',
    type: 'string',
    env: 'MACHINE_DOCKER_INSTALL_URL',
    summary: 'where Docker is installed from',
    refused: 'Docker is part of the image',
  },
  {name: 'engine-opt', type: 'list', summary: "dockerd's flags, NAME=VALUE"},
  {name: 'engine-env', type: 'list', summary: "dockerd's environment, NAME=VALUE"},
  {name: 'engine-label', type: 'list', summary: "dockerd's labels, NAME=VALUE"},
  {
    name: 'engine-insecure-registry',
    type: 'list',
    env: 'ENGINE_INSECURE_REGISTRY',
    summary: 'registries that Docker speaks to without TLS',
  },
  {
    name: 'engine-registry-mirror',
    type: 'list',
    env: 'ENGINE_REGISTRY_MIRROR',
    summary: 'mirrors of the public registry',
  },
  {name: 'engine-storage-driver', type: 'string', summary: "Docker's storage driver"},
  {name: 'tls-san', type: 'list', summary: 'further names and addresses for the certificate of Docker'},
  swarm('swarm', 'boolean'),
  swarm('swarm-master', 'boolean'),
  swarm('swarm-experimental', 'boolean'),
  swarm('swarm-discovery'),
  swarm('swarm-image'),
  swarm('swarm-strategy'),
  swarm('swarm-host'),
  swarm('swarm-addr'),
  swarm('swarm-opt', 'list'),
  swarm('swarm-join-opt', 'list'),
];

export function readEngineOptions(flags: FlagValues): EngineOptions {
  const storageDriver = flagString(flags, 'engine-storage-driver');
  return {
    options: flagList(flags, 'engine-opt'),
    environment: flagList(flags, 'engine-env'),
    labels: flagList(flags, 'engine-label'),
    insecureRegistries: flagList(flags, 'engine-insecure-registry'),
    registryMirrors: flagList(flags, 'engine-registry-mirror'),
    ...(storageDriver === undefined ? {} : {storageDriver}),
  };
}
