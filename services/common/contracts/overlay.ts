/**
 * The overlay: what stands in etcd, and what hosts ask the server for. Hosts read and write over the server alone, each
 * for itself; the certificate says who it is.
 */
import {Type, type Static, type TObject, type TProperties} from 'typebox';
import {Uuid} from './release.ts';

export const OVERLAY_SCHEMA = 1;
export const overlayRoot = '/hawser/v1/overlay/';

const open = <Properties extends TProperties>(properties: Properties): TObject<Properties> =>
  Type.Object(properties);

const Time = Type.String({maxLength: 40}); // RFC 3339
const octet = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
export const Ipv4 = Type.String({pattern: `^${octet}(?:\\.${octet}){3}$`});
export const Ipv4Prefix = Type.String({pattern: `^${octet}(?:\\.${octet}){3}/(?:3[0-2]|[12]?\\d)$`});
/** Docker's rule for names. */
export const NetworkName = Type.String({pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$'});
/** The subnet with a dash: no two networks share one. */
export const NetworkId = Type.String({pattern: '^[0-9.]{7,15}-[0-9]{1,2}$'});
const Labels = Type.Record(Type.String({maxLength: 256}), Type.String({maxLength: 4096}));

export const OverlayNetwork = open({
  schema: Type.Literal(OVERLAY_SCHEMA),
  id: NetworkId,
  /** VXLAN network identifier: 24 bits, unique in the cluster. */
  vni: Type.Integer({minimum: 1, maximum: 0xff_ff_ff}),
  subnet: Ipv4Prefix,
  /** Answered by every host, used by no container. */
  gateway: Ipv4,
  /** Handed out only when asked for by address. */
  reserved: Type.Array(Ipv4Prefix, {maxItems: 256}),
  /** Absent until the host on which it was made has heard it from Docker. */
  name: Type.Optional(NetworkName),
  labels: Labels,
  internal: Type.Boolean(),
  createdAt: Time,
  createdBy: Type.String({maxLength: 128}),
  /** When a host said last that it existed before the store was lost. */
  restored: Type.Optional(Time),
});
export type OverlayNetwork = Static<typeof OverlayNetwork>;

/** A block of a network's addresses that one machine hands out by itself. */
export const OverlayLease = open({
  schema: Type.Literal(OVERLAY_SCHEMA),
  network: NetworkId,
  block: Ipv4Prefix,
  machine: Uuid,
  since: Time,
  /** Given back then: it may be claimed again, after those that were never used. */
  released: Type.Optional(Time),
});
export type OverlayLease = Static<typeof OverlayLease>;

/** Where a machine is reached. Changes seldom, unlike {@link OverlayAlive}. */
export const OverlayHost = open({
  schema: Type.Literal(OVERLAY_SCHEMA),
  machine: Uuid,
  name: Type.String({maxLength: 128}),
  /** Of the machine in the network that carries the tunnels. */
  address: Ipv4,
  /** Of the interface with that address, in bytes. */
  mtu: Type.Integer({minimum: 576, maximum: 65_535}),
});
export type OverlayHost = Static<typeof OverlayHost>;

/** When a machine was heard of last; not passed on to other hosts. */
export const OverlayAlive = open({
  schema: Type.Literal(OVERLAY_SCHEMA),
  machine: Uuid,
  boot: Type.String({maxLength: 64}),
  seen: Time,
  faults: Type.Optional(Type.Array(Type.String({maxLength: 512}), {maxItems: 16})),
});
export type OverlayAlive = Static<typeof OverlayAlive>;

/** A container's name is resolved on the networks that it is on. */
export const Endpoint = open({
  address: Ipv4,
  names: Type.Array(Type.String({minLength: 1, maxLength: 255}), {maxItems: 32}),
});
export type Endpoint = Static<typeof Endpoint>;

/** All that a machine has on a network. */
export const OverlayEndpoints = open({
  schema: Type.Literal(OVERLAY_SCHEMA),
  network: NetworkId,
  machine: Uuid,
  endpoints: Type.Array(Endpoint, {maxItems: 4096}),
});
export type OverlayEndpoints = Static<typeof OverlayEndpoints>;

/** `POST /v1/overlay/host`: here I am. To be repeated every `renewSeconds`. */
export const AnnounceRequest = open({
  address: Ipv4,
  mtu: Type.Integer({minimum: 576, maximum: 65_535}),
  boot: Type.String({minLength: 1, maxLength: 64}),
  /** What is wrong there, each in one sentence, for `hawser net check`. */
  faults: Type.Optional(Type.Array(Type.String({maxLength: 512}), {maxItems: 16})),
});
export type AnnounceRequest = Static<typeof AnnounceRequest>;
export const AnnounceAnswer = open({
  renewSeconds: Type.Integer({minimum: 1}),
  /** A machine that is silent for longer may lose its blocks to others. */
  graceSeconds: Type.Integer({minimum: 1}),
});
export type AnnounceAnswer = Static<typeof AnnounceAnswer>;

/** `POST /v1/overlay/networks`. The same again answers the same network. */
export const CreateNetworkRequest = open({
  subnet: Ipv4Prefix,
  gateway: Type.Optional(Ipv4),
  reserved: Type.Optional(Type.Array(Ipv4Prefix, {maxItems: 256})),
  name: Type.Optional(NetworkName),
  labels: Type.Optional(Labels),
  internal: Type.Optional(Type.Boolean()),
  /** Of a network that existed before the store was lost; another one when it is taken by now. */
  vni: Type.Optional(Type.Integer({minimum: 1, maximum: 0xff_ff_ff})),
});
export type CreateNetworkRequest = Static<typeof CreateNetworkRequest>;

/** `POST /v1/overlay/networks/:id/name`: once, by the host that made it. */
export const NameNetworkRequest = open({name: NetworkName, labels: Labels, internal: Type.Boolean()});
export type NameNetworkRequest = Static<typeof NameNetworkRequest>;

/** `POST /v1/overlay/leases/claim`: a block; or the one with this address; or this very block, held before. */
export const ClaimRequest = open({
  network: NetworkId,
  address: Type.Optional(Ipv4),
  block: Type.Optional(Ipv4Prefix),
  /** Not needed yet: refused with `scarce` when that would leave less than half of the network. */
  spare: Type.Optional(Type.Boolean()),
});
export type ClaimRequest = Static<typeof ClaimRequest>;

/** `POST /v1/overlay/leases/release`. Fine when it is not held any more. */
export const ReleaseBlockRequest = open({network: NetworkId, block: Ipv4Prefix});
export type ReleaseBlockRequest = Static<typeof ReleaseBlockRequest>;

/** `POST /v1/overlay/endpoints`: replaces what the machine said before of this network. */
export const EndpointsRequest = open({network: NetworkId, endpoints: Type.Array(Endpoint, {maxItems: 4096})});
export type EndpointsRequest = Static<typeof EndpointsRequest>;

/** Why the server says no, with status 409; 404 for `unknown-network`. */
export const overlayRefusals = [
  'bad-network',
  'overlap',
  'name-taken',
  'exhausted',
  'scarce',
  'address-held',
  'in-use',
  'unknown-network',
  'not-announced',
  'duplicate-machine',
] as const;
export type OverlayRefusalKind = (typeof overlayRefusals)[number];

/** What hosts follow, by kind and key: the last two segments of the key in etcd, or the last one. */
export interface OverlayState {
  readonly networks: ReadonlyMap<string, OverlayNetwork>;
  readonly leases: ReadonlyMap<string, OverlayLease>;
  readonly hosts: ReadonlyMap<string, OverlayHost>;
  readonly endpoints: ReadonlyMap<string, OverlayEndpoints>;
}

export const followedKinds = ['networks', 'leases', 'hosts', 'endpoints'] as const;
export type FollowedKind = (typeof followedKinds)[number];

/** Without `value`, the key is gone. The value is one of the records above, or what a newer server writes. */
const Item = Type.Object({
  kind: Type.Enum(followedKinds),
  key: Type.String({maxLength: 256}),
  value: Type.Optional(Type.Unknown()),
});
export type OverlayItem = Static<typeof Item>;

/**
 * Lines of `GET /v1/overlay/watch`, as newline-delimited JSON: everything, then what changes, and a sign of life at
 * least every 10 s. `epoch` names the life of the store: another one means that it was lost or set back.
 */
export const WatchLine = Type.Union([
  Type.Object({
    kind: Type.Literal('all'),
    epoch: Type.String(),
    revision: Type.String({pattern: '^[0-9]{1,20}$'}),
    items: Type.Array(Item),
  }),
  Type.Object({
    kind: Type.Literal('changes'),
    revision: Type.String({pattern: '^[0-9]{1,20}$'}),
    items: Type.Array(Item),
  }),
  Type.Object({kind: Type.Literal('alive')}),
]);
export type WatchLine = Static<typeof WatchLine>;

/** `GET /v1/overlay/networks`, for operators. */
export const NetworkList = Type.Object({
  networks: Type.Array(
    Type.Object({
      network: OverlayNetwork,
      /** Addresses in blocks that machines hold, and all that containers may get. */
      held: Type.Integer({minimum: 0}),
      usable: Type.Integer({minimum: 0}),
      leases: Type.Array(OverlayLease),
      endpoints: Type.Array(OverlayEndpoints),
    }),
  ),
  hosts: Type.Array(Type.Object({host: OverlayHost, alive: Type.Optional(OverlayAlive)})),
  /** Keys in etcd whose values cannot be read, and why. */
  unreadable: Type.Array(Type.Object({key: Type.String(), why: Type.String()})),
  now: Time,
});
export type NetworkList = Static<typeof NetworkList>;
