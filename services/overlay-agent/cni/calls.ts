/** CNI's commands over the same networks, addresses and ports as Docker's. */
import {createHash} from 'node:crypto';
import type {OverlayAgent} from '../agent.ts';
import {OverlayError} from '../errors.ts';
import type {Memory} from '../memory.ts';
import type {ContainerNamespaces} from '../ports.ts';
import {allocationOf} from '../record.ts';
import {CniError, resultOf, supportedVersions, type CniCall} from './messages.ts';

export type CniCalls = (call: CniCall) => Promise<object | undefined>;

export interface CniDeps {
  readonly agent: OverlayAgent;
  readonly memory: Memory;
  readonly containers: ContainerNamespaces;
}

export function cniCalls(deps: CniDeps): CniCalls {
  return async call => {
    switch (call.command) {
      case 'ADD':
        return add(deps, call);
      case 'DEL':
        await remove(deps, endpointOf(call.container, call.ifname));
        return undefined;
      case 'CHECK':
        return check(deps, call);
      case 'STATUS':
        return status(deps, call);
      case 'GC':
        return collect(deps, call);
      case 'VERSION':
        return {cniVersion: call.config.cniVersion, supportedVersions};
      default:
        throw new CniError('environment', `CNI_COMMAND ${call.command} is not known`);
    }
  };
}

async function add({agent, memory, containers}: CniDeps, call: CniCall): Promise<object> {
  const {config, container, ifname, namespace} = call;
  const network = agent.named(nameIn(call));
  const endpoint = endpointOf(container, ifname);
  if (allocationOf(memory.record(), endpoint) !== undefined)
    throw new CniError('config', `${container} has ${ifname} already`, {remedy: 'DEL it first'});
  const [wanted] = config.runtimeConfig?.ips ?? [];
  const {address} = await agent.allocate(network.id, 'cni', wanted?.split('/')[0], endpoint);
  try {
    const bound = await agent.bind(network.id, address, endpoint, undefined, [container]);
    const {inside, mtu} = await agent.attach(endpoint);
    const length = network.subnet.split('/')[1] ?? '32';
    await containers.adopt(namespace, inside, ifname, `${address}/${length}`);
    return resultOf(
      {
        version: config.cniVersion,
        hostLink: inside.replace(/^hwc/, 'hwp'),
        ifname,
        namespace,
        mac: bound.mac ?? '',
        mtu,
        address: `${address}/${length}`,
        gateway: network.gateway,
      },
      config.prevResult,
    );
  } catch (error) {
    await remove({agent, memory}, endpoint);
    throw error;
  }
}

/** Idempotent, and fine without a namespace. */
async function remove({agent, memory}: Pick<CniDeps, 'agent' | 'memory'>, endpoint: string): Promise<void> {
  const allocation = allocationOf(memory.record(), endpoint);
  if (allocation === undefined) return;
  await agent.unbind(endpoint);
  await agent.release(allocation.network, allocation.address);
}

async function check(
  {memory, containers}: CniDeps,
  {container, ifname, namespace}: CniCall,
): Promise<undefined> {
  const allocation = allocationOf(memory.record(), endpointOf(container, ifname));
  if (allocation === undefined) throw new CniError('failed', `${container} has no ${ifname} of ours`);
  const found = await containers.look(namespace, ifname);
  if (found === undefined || !found.addresses.includes(allocation.address) || found.mac !== allocation.mac)
    throw new CniError('failed', `${ifname} of ${container} is not as it was made`, {
      remedy: `it should have ${allocation.address} and ${allocation.mac}`,
    });
  return undefined;
}

async function status({agent, memory}: CniDeps, call: CniCall): Promise<undefined> {
  if (!memory.known())
    throw new CniError('not-available', 'this host has not heard from the server yet', {
      remedy: 'see journalctl -u hawser-overlay',
    });
  try {
    agent.named(nameIn(call));
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    throw new CniError('not-available', error.message, {cause: error, remedy: error.remedy ?? ''});
  }
  return Promise.resolve(undefined);
}

async function collect({agent, memory}: CniDeps, call: CniCall): Promise<undefined> {
  const network = agent.named(nameIn(call));
  const valid = new Set(
    (call.config['cni.dev/valid-attachments'] ?? []).map(each => endpointOf(each.containerID, each.ifname)),
  );
  for (const {by, endpoint, network: of} of memory.record().allocations)
    if (by === 'cni' && of === network.id && endpoint !== undefined && !valid.has(endpoint))
      await remove({agent, memory}, endpoint);
  return undefined;
}

function nameIn({config}: CniCall): string {
  const name = config.network ?? config.name;
  if (name !== undefined) return name;
  throw new CniError('config', 'the configuration names no network', {remedy: 'give "network", or "name"'});
}

function endpointOf(container: string, ifname: string): string {
  return createHash('sha256').update(`${container}/${ifname}`).digest('hex');
}
