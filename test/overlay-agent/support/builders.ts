/** What is agreed, in few words. */
import type {OverlayHost, OverlayLease, OverlayNetwork} from '../../../services/common/contracts/overlay.ts';
import type {Self} from '../../../services/overlay-agent/desired.ts';
import {FollowedState} from '../../../services/overlay-agent/state.ts';
import {uuidOf} from '../../update-server/support.ts';

export function network(subnet: string, over: Partial<OverlayNetwork> = {}): OverlayNetwork {
  return {
    schema: 1,
    id: subnet.replace('/', '-'),
    vni: 0x10_00_00,
    subnet,
    gateway: subnet.replace(/\d+\/\d+$/, '1'),
    reserved: [],
    labels: {},
    internal: false,
    createdAt: '2026-03-02T10:00:00Z',
    createdBy: 'test',
    ...over,
  };
}

export function host(number: number, over: Partial<OverlayHost> = {}): OverlayHost {
  return {
    schema: 1,
    machine: uuidOf(number),
    name: `m${number}`,
    address: `192.0.2.${number}`,
    mtu: 1500,
    ...over,
  };
}

export function lease(
  of: OverlayNetwork,
  block: string,
  number: number,
  over: Partial<OverlayLease> = {},
): OverlayLease {
  return {schema: 1, network: of.id, block, machine: uuidOf(number), since: '2026-03-02T10:00:00Z', ...over};
}

export function stateOf(
  networks: readonly OverlayNetwork[],
  hosts: readonly OverlayHost[],
  leases: readonly OverlayLease[],
): FollowedState {
  return FollowedState.of({
    schema: 1,
    epoch: 'e',
    revision: '7',
    networks: [...networks],
    hosts: [...hosts],
    leases: [...leases],
    endpoints: [],
  });
}

export const self: Self = {machine: uuidOf(1), address: '192.0.2.1', mtu: 1500, port: 4789};
