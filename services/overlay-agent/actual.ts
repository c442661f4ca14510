/** What the kernel of this host holds, from the output of `ip -j -d` and `bridge -j`. Pure; unknown fields are passed by. */
import {Type, type Static, type TSchema} from 'typebox';
import type {Firewall} from './firewall.ts';
import {parseJson} from '../common/parse.ts';

const Link = Type.Object({
  ifname: Type.String(),
  mtu: Type.Integer(),
  address: Type.Optional(Type.String()),
  master: Type.Optional(Type.String()),
  flags: Type.Array(Type.String()),
  linkinfo: Type.Optional(
    Type.Object({
      info_kind: Type.Optional(Type.String()),
      info_data: Type.Optional(
        Type.Object({
          id: Type.Optional(Type.Integer()),
          local: Type.Optional(Type.String()),
          port: Type.Optional(Type.Integer()),
          learning: Type.Optional(Type.Boolean()),
        }),
      ),
    }),
  ),
  addr_info: Type.Optional(
    Type.Array(Type.Object({local: Type.Optional(Type.String()), prefixlen: Type.Integer()})),
  ),
});
export type Link = Static<typeof Link>;

const RouteRow = Type.Object({
  dst: Type.String(),
  dev: Type.Optional(Type.String()),
  gateway: Type.Optional(Type.String()),
  protocol: Type.Optional(Type.String()),
  metric: Type.Optional(Type.Integer()),
});
export type RouteRow = Static<typeof RouteRow>;

const Neighbour = Type.Object({
  dst: Type.String(),
  dev: Type.Optional(Type.String()),
  lladdr: Type.Optional(Type.String()),
  state: Type.Array(Type.String()),
});
export type Neighbour = Static<typeof Neighbour>;

const FdbRow = Type.Object({
  mac: Type.String(),
  ifname: Type.String(),
  dst: Type.Optional(Type.String()),
  flags: Type.Array(Type.String()),
  state: Type.Optional(Type.String()),
});
export type FdbRow = Static<typeof FdbRow>;

/** Of one network namespace. */
export interface ActualNamespace {
  readonly links: readonly Link[];
  readonly routes: readonly RouteRow[];
  readonly neighbours: readonly Neighbour[];
  readonly fdb: readonly FdbRow[];
}

/** Namespaces of ours by name; links of ours that never left the host's own namespace. */
export interface Actual {
  readonly namespaces: ReadonlyMap<string, ActualNamespace>;
  readonly strays: readonly string[];
  /** Undefined when the table is missing or another; `unavailable` where there is no nft. */
  readonly firewall?: Firewall | 'unavailable' | undefined;
}

export const noNamespace: ActualNamespace = {links: [], routes: [], neighbours: [], fdb: []};

/** Lines for `ip -j -d -batch -` whose output {@link parseNamespace} reads. */
export const readLines = ['addr show', 'route show table main', 'neigh show'] as const;

/** Throws ParseError. */
export function parseNamespace(ip: string, bridge: string): ActualNamespace {
  const [links = '[]', routes = '[]', neighbours = '[]'] = ip.trim().split('\n');
  return {
    links: rows(Link, links, 'ip addr'),
    routes: rows(RouteRow, routes, 'ip route').filter(({protocol}) => protocol !== 'kernel'),
    neighbours: rows(Neighbour, neighbours, 'ip neigh').filter(({state}) => state.includes('PERMANENT')),
    fdb: rows(FdbRow, bridge, 'bridge fdb').filter(({dst}) => dst !== undefined),
  };
}

function rows<Row extends TSchema>(row: Row, text: string, what: string): Static<Row>[] {
  // Both programs print an empty object for a row that they filter out.
  const all = parseJson(Type.Array(Type.Unknown()), text.trim() === '' ? '[]' : text, what);
  const kept = all.filter(each => typeof each === 'object' && each !== null && Object.keys(each).length > 0);
  return kept.map(each => parseJson(row, JSON.stringify(each), what));
}
