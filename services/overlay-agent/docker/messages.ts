/** libnetwork's remote driver and IPAM messages: only the fields used; dockerd may send more. */
import {Type, type Static} from 'typebox';

const Id = Type.String({minLength: 1, maxLength: 256});
const Options = Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]));
const IpamData = Type.Object({
  AddressSpace: Type.Optional(Type.String()),
  Pool: Type.Optional(Type.String()),
  Gateway: Type.Optional(Type.String()),
  AuxAddresses: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
});

export const CreateNetwork = Type.Object({
  NetworkID: Id,
  Options,
  IPv4Data: Type.Optional(Type.Union([Type.Array(IpamData), Type.Null()])),
  IPv6Data: Type.Optional(Type.Union([Type.Array(IpamData), Type.Null()])),
});
export type CreateNetwork = Static<typeof CreateNetwork>;
export const DeleteNetwork = Type.Object({NetworkID: Id});
export const CreateEndpoint = Type.Object({
  NetworkID: Id,
  EndpointID: Id,
  Interface: Type.Optional(
    Type.Union([
      Type.Object({
        Address: Type.Optional(Type.String()),
        AddressIPv6: Type.Optional(Type.String()),
        MacAddress: Type.Optional(Type.String()),
      }),
      Type.Null(),
    ]),
  ),
});
export const EndpointRef = Type.Object({NetworkID: Id, EndpointID: Id});
export const RequestPool = Type.Object({
  AddressSpace: Type.Optional(Type.String()),
  Pool: Type.Optional(Type.String()),
  SubPool: Type.Optional(Type.String()),
  V6: Type.Optional(Type.Boolean()),
});
export const PoolRef = Type.Object({PoolID: Id});
export const RequestAddress = Type.Object({
  PoolID: Id,
  Address: Type.Optional(Type.String()),
  Options: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
});
export const ReleaseAddress = Type.Object({PoolID: Id, Address: Type.String()});

/** Both names that libnetwork looks for: `Err` in a network driver's answer, `Error` in an IPAM driver's. */
export function failure(message: string): {Err: string; Error: string} {
  return {Err: message, Error: message};
}

export const addressSpace = 'hawser';
const poolPrefix = 'hawser/';

export function poolOf(subnet: string): string {
  return `${poolPrefix}${subnet}`;
}

/** The subnet of a pool of ours. */
export function subnetOf(pool: string): string {
  return pool.slice(poolPrefix.length);
}

/** `10.99.0.7/24` or `10.99.0.7` as the latter. */
export function bare(address: string): string {
  return address.split('/')[0] ?? address;
}
