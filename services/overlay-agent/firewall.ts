/** Tunnels are taken from hosts of the cluster alone: one table of nftables on the host. Pure. */
import {Type} from 'typebox';
import {parseJson} from '../common/parse.ts';
import {HawserError} from '../common/errors.ts';

export const tableName = 'hawser_overlay';

export interface Firewall {
  readonly port: number;
  readonly peers: ReadonlySet<string>;
}

/** A file for `nft -f -`, which takes all of it or nothing: the table as it should be, whatever it was. */
export function firewallText({port, peers}: Firewall): string {
  const elements = peers.size === 0 ? '' : `elements = { ${[...peers].toSorted().join(', ')} }`;
  return `table inet ${tableName}
delete table inet ${tableName}
table inet ${tableName} {
  set peers {
    type ipv4_addr
    ${elements}
  }
  chain input {
    type filter hook input priority filter - 5; policy accept;
    udp dport ${port} ip saddr != @peers counter drop comment "${commentOf(port)}"
    udp dport ${port} meta nfproto ipv6 counter drop
  }
}
`;
}

const Listing = Type.Object({
  nftables: Type.Array(
    Type.Object({
      set: Type.Optional(Type.Object({name: Type.String(), elem: Type.Optional(Type.Array(Type.Unknown()))})),
      chain: Type.Optional(Type.Object({name: Type.String(), hook: Type.Optional(Type.String())})),
      rule: Type.Optional(Type.Object({chain: Type.String(), comment: Type.Optional(Type.String())})),
    }),
  ),
});

/** What `nft -j list table` says; undefined when it is not as {@link firewallText} makes it. */
export function parseFirewall(text: string): Firewall | undefined {
  try {
    const {nftables} = parseJson(Listing, text, 'nft list table');
    const rules = nftables.flatMap(({rule}) => rule ?? []);
    const hooked = nftables.some(({chain}) => chain?.name === 'input' && chain.hook === 'input');
    const [, port] = /^hawser (\d+)$/.exec(rules[0]?.comment ?? '') ?? [];
    if (!hooked || rules.length !== 2 || port === undefined) return undefined;
    const elements = nftables.flatMap(({set}) => (set?.name === 'peers' ? (set.elem ?? []) : []));
    return {port: Number(port), peers: new Set(elements.map(String))};
  } catch (error) {
    if (error instanceof HawserError) return undefined;
    throw error;
  }
}

export function sameFirewall(one: Firewall, other: Firewall | undefined): boolean {
  return (
    other !== undefined &&
    one.port === other.port &&
    one.peers.size === other.peers.size &&
    [...one.peers].every(peer => other.peers.has(peer))
  );
}

function commentOf(port: number): string {
  return `hawser ${port}`;
}
