/** What this host has handed out, kept on disk before it is answered. Pure. */
import {Type, type Static} from 'typebox';
import {Ipv4, NetworkId} from '../common/contracts/overlay.ts';

export const Allocation = Type.Object({
  network: NetworkId,
  address: Ipv4,
  /** Who asked: `docker`, or `cni`. */
  by: Type.Union([Type.Literal('docker'), Type.Literal('cni')]),
  /** RFC 3339. */
  at: Type.String(),
  /** Docker's endpoint, or container and interface of CNI; absent until there is one. */
  endpoint: Type.Optional(Type.String({maxLength: 256})),
  /** Once it is joined: the end of its pair that is in the network's namespace. */
  port: Type.Optional(Type.String({pattern: '^hwp[0-9a-f]{10}$'})),
  mac: Type.Optional(Type.String({pattern: '^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$'})),
  names: Type.Optional(Type.Array(Type.String({maxLength: 255}), {maxItems: 32})),
});
export type Allocation = Static<typeof Allocation>;

export const AgentRecord = Type.Object({
  schema: Type.Literal(1),
  allocations: Type.Array(Allocation),
  /** Docker's id of a network → ours. */
  docker: Type.Record(Type.String({pattern: '^[0-9a-f]{64}$'}), NetworkId),
});
export type AgentRecord = Static<typeof AgentRecord>;

export const emptyRecord: AgentRecord = {schema: 1, allocations: [], docker: {}};

/** Replaces what stands at its address. */
export function withAllocation(record: AgentRecord, allocation: Allocation): AgentRecord {
  const {allocations} = withoutAddress(record, allocation.network, allocation.address);
  return {...record, allocations: [...allocations, allocation]};
}

export function withoutAddress(record: AgentRecord, network: string, address: string): AgentRecord {
  return {...record, allocations: record.allocations.filter(each => !isAt(each, network, address))};
}

export function allocationAt(record: AgentRecord, network: string, address: string): Allocation | undefined {
  return record.allocations.find(each => isAt(each, network, address));
}

export function allocationOf(record: AgentRecord, endpoint: string): Allocation | undefined {
  return record.allocations.find(each => each.endpoint === endpoint);
}

function isAt(allocation: Allocation, network: string, address: string): boolean {
  return allocation.network === network && allocation.address === address;
}
