/** Where the overlay lies in etcd, below `overlayRoot`. Pure. */
import {followedKinds, overlayRoot, type FollowedKind} from '../common/contracts/overlay.ts';

export const epochKey = `${overlayRoot}epoch`;
export const networksPrefix = `${overlayRoot}networks/`;

export const keyOf = {
  network: (id: string) => `${networksPrefix}${id}`,
  lease: (network: string, block: string) => `${leasesPrefix(network)}${block.replace('/', '-')}`,
  host: (machine: string) => `${overlayRoot}hosts/${machine}`,
  alive: (machine: string) => `${overlayRoot}alive/${machine}`,
  endpoints: (network: string, machine: string) => `${endpointsPrefix(network)}${machine}`,
} as const;

export function leasesPrefix(network: string): string {
  return `${overlayRoot}leases/${network}/`;
}

export function endpointsPrefix(network: string): string {
  return `${overlayRoot}endpoints/${network}/`;
}

/** The id of a network with this subnet. */
export function idOf(subnet: string): string {
  return subnet.replace('/', '-');
}

/** Kind and key as hosts see them; undefined for what they do not follow. */
export function followedKey(key: string): {readonly kind: FollowedKind; readonly key: string} | undefined {
  const rest = key.slice(overlayRoot.length);
  const kind = followedKinds.find(each => rest.startsWith(`${each}/`));
  return kind === undefined ? undefined : {kind, key: rest.slice(kind.length + 1)};
}
