/** Joins the machine layer with the forming of clusters: the composition of `hawser cluster`. */
import {randomBytes} from 'node:crypto';
import {openRemoteMachine} from '../../machine-drivers/remote.ts';
import {systemClock} from '../common/clock.ts';
import type {Command, CommandContext} from '../common/command.ts';
import {resolvePaths} from '../common/paths.ts';
import {createClusterStore} from '../provisioner/cluster/adapters/file-store.ts';
import {openMemberAuthority} from '../provisioner/cluster/adapters/member-authority.ts';
import {clusterCommands} from '../provisioner/cluster/commands.ts';
import type {ClusterMachine} from '../provisioner/cluster/ports.ts';
import {machineTools} from './machine-part.ts';
import {CliError} from './errors.ts';

/** Docker 20.10's; 26 still speaks it. */
const DOCKER_API = '/v1.41';
/** A Swarm join waits for up to 20 s by itself, and machines may be emulated. */
const DOCKER_TIMEOUT_MS = 180_000;

export function clusterPart(): readonly Command[] {
  return clusterCommands(context => {
    const {home} = resolvePaths(context.env);
    return {
      clock: systemClock,
      store: createClusterStore(home),
      newToken: () => randomBytes(16).toString('hex'),
      authority: cluster => openMemberAuthority(home, cluster, systemClock),
      machine: name => openMachine(name, context),
    };
  });
}

async function openMachine(name: string, context: CommandContext): Promise<ClusterMachine> {
  const remote = await openRemoteMachine(machineTools, context, name);
  const {uuid, privateAddress: address} = remote;
  if (address === undefined)
    throw new CliError('bad-config', `machine "${name}" has no private address`, {
      remedy: 'a cluster needs a network that joins its members',
    });
  return {
    name,
    uuid,
    address,
    run: (script, {timeoutMs}) => remote.runAsRoot(script, timeoutMs),
    docker: (method, path, body) => remote.docker(method, `${DOCKER_API}${path}`, body, DOCKER_TIMEOUT_MS),
  };
}
