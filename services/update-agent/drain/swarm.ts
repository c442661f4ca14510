/** This machine's place in a Docker Swarm: drained and active again, through the local manager. */
import {Type, type Static} from 'typebox';
import type {ClusterFacts} from '../../common/contracts/lock.ts';
import {parseValue} from '../../common/parse.ts';
import type {DockerApi} from '../adapters/docker.ts';
import {drainBlockers, returnBlockers, Service, Task} from './swarm-plan.ts';

const Info = Type.Object({
  Swarm: Type.Object({
    NodeID: Type.String(),
    LocalNodeState: Type.String(),
    ControlAvailable: Type.Boolean(),
    Cluster: Type.Optional(Type.Union([Type.Object({ID: Type.String()}), Type.Null()])),
  }),
});
/** The rest of the specification goes back as it came. */
const Node = Type.Object({
  ID: Type.String(),
  Version: Type.Object({Index: Type.Integer()}),
  Spec: Type.Object({Availability: Type.String()}),
  ManagerStatus: Type.Optional(Type.Object({Reachability: Type.String()})),
});
type Node = Static<typeof Node>;

/** Updates of a node's specification that may lose against somebody else's, before it is an error. */
const maxConflicts = 5;

export interface Swarm {
  readonly node: string;
  readonly manager: boolean;
  readonly cluster: string;
}

/** Undefined on a machine that is in no Swarm. */
export async function findSwarm(docker: DockerApi): Promise<Swarm | undefined> {
  const {Swarm: swarm} = parseValue(Info, await docker.get('/info'), "Docker's info");
  if (swarm.LocalNodeState !== 'active') return undefined;
  return {node: swarm.NodeID, manager: swarm.ControlAvailable, cluster: swarm.Cluster?.ID ?? 'swarm'};
}

/** Idempotent. Only a manager can do it, for itself too. */
export async function setAvailability(
  docker: DockerApi,
  node: string,
  wanted: 'active' | 'drain',
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const raw = await docker.get(`/nodes/${node}`);
    const {Version, Spec} = parseValue(Node, raw, 'the node');
    if (Spec.Availability === wanted) return;
    try {
      await docker.post(`/nodes/${node}/update?version=${Version.Index}`, {...Spec, Availability: wanted});
      return;
    } catch (error) {
      // "update out of sequence": somebody else changed it in between.
      if (attempt >= maxConflicts) throw error;
    }
  }
}

export async function swarmBlockers(
  docker: DockerApi,
  node: string,
  way: 'drain' | 'return',
): Promise<string[]> {
  const services = parseValue(Type.Array(Service), await docker.get('/services'), 'the services');
  const tasks = parseValue(Type.Array(Task), await docker.get('/tasks'), 'the tasks');
  return way === 'drain' ? drainBlockers(services, tasks, node) : returnBlockers(services, tasks);
}

/** For the quorum guard: how many managers there are, and how many answer. */
export async function swarmFacts(docker: DockerApi, {cluster}: Swarm): Promise<ClusterFacts> {
  const nodes: Node[] = parseValue(Type.Array(Node), await docker.get('/nodes'), 'the nodes');
  const managers = nodes.filter(node => node.ManagerStatus !== undefined);
  const healthy = managers.filter(node => node.ManagerStatus?.Reachability === 'reachable').length;
  return {kind: 'swarm', cluster, members: Math.max(1, managers.length), healthy};
}
