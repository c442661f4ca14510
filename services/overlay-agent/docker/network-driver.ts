/** NetworkDriver: networks, endpoints, and the pair that goes into a container. */
import {CreateEndpoint, CreateNetwork, DeleteNetwork, EndpointRef, addressSpace, bare} from './messages.ts';
import type {OverlayNetwork} from '../../common/contracts/overlay.ts';
import {OverlayError} from '../errors.ts';
import {checked, type Call, type PluginDeps} from './calls.ts';

export function networkCalls(deps: PluginDeps): Readonly<Record<string, Call>> {
  const {agent, memory} = deps;
  const nothing: Call = () => Promise.resolve({});
  const calls: Readonly<Record<string, Call>> = {
    GetCapabilities: () => Promise.resolve({Scope: 'local', ConnectivityScope: 'global'}),
    CreateNetwork: checked(CreateNetwork, async request => {
      const network = await agreeOn(deps, request);
      await memory.change(record => ({
        ...record,
        docker: {...record.docker, [request.NetworkID]: network.id},
      }));
      return {};
    }),
    DeleteNetwork: checked(DeleteNetwork, async ({NetworkID: dockerId}) => {
      await removeNetwork(deps, dockerId);
      return {};
    }),
    CreateEndpoint: checked(CreateEndpoint, async ({NetworkID, EndpointID, Interface}) => {
      const id = networkOf(NetworkID);
      const {Address: address = '', AddressIPv6: six = '', MacAddress: mac = ''} = Interface ?? {};
      if (six !== '') throw new OverlayError('bad-request', 'networks of hawser carry IPv4 alone');
      const bound = await agent.bind(
        id,
        bare(address),
        EndpointID,
        mac === '' ? undefined : mac.toLowerCase(),
      );
      // What Docker gave already may not be repeated.
      return {Interface: mac === '' ? {MacAddress: bound.mac} : {}};
    }),
    DeleteEndpoint: checked(EndpointRef, async ({EndpointID}) => {
      await agent.unbind(EndpointID);
      return {};
    }),
    EndpointOperInfo: () => Promise.resolve({Value: {}}),
    Join: checked(EndpointRef, async ({EndpointID}) => {
      const {inside} = await agent.attach(EndpointID);
      // Without a gateway of ours Docker attaches its own bridge, for the way out and for published ports.
      return {InterfaceName: {SrcName: inside, DstPrefix: 'eth'}, DisableGatewayService: false};
    }),
    Leave: checked(EndpointRef, async ({EndpointID}) => {
      await agent.detach(EndpointID);
      return {};
    }),
    ProgramExternalConnectivity: nothing,
    RevokeExternalConnectivity: nothing,
    DiscoverNew: nothing,
    DiscoverDelete: nothing,
    AllocateNetwork: () => Promise.reject(swarm()),
    FreeNetwork: () => Promise.reject(swarm()),
  };
  return Object.fromEntries(Object.entries(calls).map(([name, call]) => [`NetworkDriver.${name}`, call]));

  function networkOf(dockerId: string): string {
    const id = memory.record().docker[dockerId];
    if (id !== undefined) return id;
    throw new OverlayError(
      'unknown-network',
      `this host does not know the network ${dockerId.slice(0, 12)}`,
      {
        remedy: 'remove it with docker network rm, and make it again',
      },
    );
  }
}

async function agreeOn({agent, memory}: PluginDeps, request: CreateNetwork): Promise<OverlayNetwork> {
  const [data, ...more] = request.IPv4Data ?? [];
  const subnet = data?.Pool;
  if (data?.AddressSpace !== addressSpace || subnet === undefined)
    throw new OverlayError(
      'bad-request',
      'Docker would hand out the addresses of this network by itself, on every host anew',
      {
        remedy: 'add --ipam-driver hawser (in a Compose file, ipam: {driver: hawser})',
      },
    );
  if (more.length > 0 || (request.IPv6Data ?? []).length > 0)
    throw new OverlayError('bad-request', 'a network of hawser has one IPv4 subnet', {
      remedy: 'give one --subnet, and no --ipv6',
    });
  const options = request.Options ?? {};
  const generic = options['com.docker.network.generic'];
  const name = optionOf(generic, 'hawser.network');
  const known = memory.state().networks.get(subnet.replace('/', '-'));
  if (known !== undefined && (name === undefined || name === known.name)) return known;
  const gateway = data.Gateway === undefined ? undefined : bare(data.Gateway);
  const reserved = Object.values(data.AuxAddresses ?? {}).map(address => `${bare(address)}/32`);
  return agent.createNetwork({
    subnet,
    reserved,
    internal: options['com.docker.network.internal'] === true,
    ...(gateway === undefined || gateway === '' ? {} : {gateway}),
    ...(name === undefined ? {} : {name}),
  });
}

/**
 * dockerd forgets its network whatever is answered here, and only logs an error. So a network that the cluster keeps is
 * made again in this Docker by what follows its destroy event (sync.ts).
 */
async function removeNetwork({memory, server, mirroring}: PluginDeps, dockerId: string): Promise<void> {
  const record = memory.record();
  const id = record.docker[dockerId];
  if (id === undefined) return;
  await memory.change(({docker: {[dockerId]: _gone, ...docker}, ...rest}) => ({...rest, docker}));
  const others = Object.entries(record.docker).some(([other, of]) => of === id && other !== dockerId);
  if (!memory.state().networks.has(id) || mirroring.has(id) || others) return;
  const pods = record.allocations.filter(each => each.network === id && each.by === 'cni').length;
  if (pods > 0)
    throw new OverlayError('refused', `the network is in use by ${pods} pods on this host, and stays`, {
      remedy: 'remove them first',
    });
  await server.removeNetwork(id);
  memory.forget({network: id});
}

function optionOf(generic: unknown, name: string): string | undefined {
  if (typeof generic !== 'object' || generic === null || !(name in generic)) return undefined;
  const value: unknown = Reflect.get(generic, name);
  return typeof value === 'string' ? value : undefined;
}

function swarm(): OverlayError {
  return new OverlayError('bad-request', 'Swarm services use the overlay driver of Docker', {
    remedy: 'make the network with -d overlay, or run plain containers on it',
  });
}
