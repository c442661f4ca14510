/** What of a Swarm a drain has to wait for. Pure: the answers of Docker's API go in. */
import {Type, type Static} from 'typebox';

export const Task = Type.Object({
  ID: Type.String(),
  ServiceID: Type.Optional(Type.String()),
  NodeID: Type.Optional(Type.String()),
  Slot: Type.Optional(Type.Integer()),
  DesiredState: Type.String(),
  Status: Type.Object({State: Type.String()}),
});
export type Task = Static<typeof Task>;

export const Service = Type.Object({
  ID: Type.String(),
  Spec: Type.Object({
    Name: Type.String(),
    Mode: Type.Object({Replicated: Type.Optional(Type.Object({Replicas: Type.Optional(Type.Integer())}))}),
  }),
});
export type Service = Static<typeof Service>;

const overStates = ['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned'];

/** What is not done yet, in words; empty when the node is empty and every service has its replicas elsewhere. */
export function drainBlockers(services: readonly Service[], tasks: readonly Task[], node: string): string[] {
  const blockers: string[] = [];
  for (const {ID, Spec} of services) {
    const own = tasks.filter(task => task.ServiceID === ID);
    const here = own.filter(task => task.NodeID === node && !overStates.includes(task.Status.State));
    if (here.length > 0) blockers.push(`${here.length} tasks of ${Spec.Name} on this node`);
    const wanted = Spec.Mode.Replicated?.Replicas;
    if (wanted === undefined) continue;
    const elsewhere = own.filter(
      task => task.NodeID !== node && task.DesiredState === 'running' && task.Status.State === 'running',
    ).length;
    if (elsewhere < wanted) blockers.push(`${elsewhere} of ${wanted} replicas of ${Spec.Name} elsewhere`);
  }
  return blockers;
}

/** After the return: services whose replicas do not all run yet, wherever. */
export function returnBlockers(services: readonly Service[], tasks: readonly Task[]): string[] {
  return services.flatMap(({ID, Spec}) => {
    const wanted = Spec.Mode.Replicated?.Replicas;
    if (wanted === undefined) return [];
    const running = tasks.filter(
      task => task.ServiceID === ID && task.DesiredState === 'running' && task.Status.State === 'running',
    ).length;
    return running < wanted ? [`${running} of ${wanted} replicas of ${Spec.Name}`] : [];
  });
}
