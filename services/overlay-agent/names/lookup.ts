/** Names of containers on the networks of the one who asks. Pure. */
import type {FollowedState} from '../state.ts';

/**
 * Addresses of `name` or `name.network` on those networks (ids); undefined when no container there is called that. A
 * name that several containers share (an alias) has the addresses of all.
 */
export function addressesOf(
  state: FollowedState,
  networks: ReadonlySet<string>,
  name: string,
): readonly string[] | undefined {
  const found: string[] = [];
  for (const {network, endpoints} of state.endpoints.values()) {
    if (!networks.has(network)) continue;
    const suffix = `.${(state.networks.get(network)?.name ?? network).toLowerCase()}`;
    const bare = name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
    for (const {address, names} of endpoints) {
      if (names.some(each => each.toLowerCase() === name || each.toLowerCase() === bare)) found.push(address);
    }
  }
  return found.length === 0 ? undefined : found;
}
