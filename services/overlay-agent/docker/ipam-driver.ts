/** IpamDriver: addresses out of the blocks that this host holds. */
import {formatPrefix, parsePrefix} from '../../common/ipv4.ts';
import {OverlayError} from '../errors.ts';
import {
  addressSpace,
  bare,
  PoolRef,
  poolOf,
  ReleaseAddress,
  RequestAddress,
  RequestPool,
  subnetOf,
} from './messages.ts';
import {checked, type Call, type PluginDeps} from './calls.ts';

export function ipamCalls({agent, memory}: PluginDeps): Readonly<Record<string, Call>> {
  const calls: Readonly<Record<string, Call>> = {
    GetCapabilities: () => Promise.resolve({RequiresMACAddress: false, RequiresRequestReplay: false}),
    // One string for both: with two, dockerd would ask for another pool for as long as one overlaps a route of the host.
    GetDefaultAddressSpaces: () =>
      Promise.resolve({LocalDefaultAddressSpace: addressSpace, GlobalDefaultAddressSpace: addressSpace}),
    RequestPool: checked(RequestPool, ({Pool: pool = '', SubPool: range = '', V6: six = false}) => {
      if (six)
        throw new OverlayError('bad-request', 'networks of hawser carry IPv4 alone', {
          remedy: 'leave --ipv6 out',
        });
      if (range !== '')
        throw new OverlayError('bad-request', '--ip-range is not known to hawser', {
          remedy: 'leave it out: hosts claim blocks of the subnet; keep addresses free with --aux-address',
        });
      const prefix = parsePrefix(pool);
      if (prefix === undefined)
        throw new OverlayError('bad-request', `"${pool}" cannot be the subnet of a network`, {
          remedy: 'give --subnet, for instance 10.99.0.0/24',
        });
      return {PoolID: poolOf(formatPrefix(prefix)), Pool: formatPrefix(prefix), Data: {}};
    }),
    // The addresses of a network belong to the cluster, not to this host's dockerd.
    ReleasePool: checked(PoolRef, () => ({})),
    RequestAddress: checked(RequestAddress, async ({PoolID, Address: wanted = '', Options: options}) => {
      const subnet = subnetOf(PoolID);
      const [, length = ''] = subnet.split('/');
      const id = subnet.replace('/', '-');
      const known = memory.state().networks.get(id);
      if (options?.['RequestAddressType'] === 'com.docker.network.gateway')
        return {Address: `${known?.gateway ?? gatewayOf(subnet, wanted)}/${length}`, Data: {}};
      // Before the network is there, only addresses that are set aside for something else (--aux-address) are asked for.
      if (known === undefined && wanted !== '') return {Address: `${bare(wanted)}/${length}`, Data: {}};
      const {address} = await agent.allocate(id, 'docker', wanted === '' ? undefined : bare(wanted));
      return {Address: `${address}/${length}`, Data: {}};
    }),
    ReleaseAddress: checked(ReleaseAddress, async ({PoolID, Address: address}) => {
      await agent.release(subnetOf(PoolID).replace('/', '-'), bare(address));
      return {};
    }),
  };
  return Object.fromEntries(Object.entries(calls).map(([name, call]) => [`IpamDriver.${name}`, call]));
}

function gatewayOf(subnet: string, wanted: string): string {
  if (wanted !== '') return bare(wanted);
  const prefix = parsePrefix(subnet);
  return bare(formatPrefix({first: (prefix?.first ?? 0) + 1, length: 32}));
}
