/** Prometheus figures of the allocator, read when they are asked for. */
import {Gauge, type Registry} from 'prom-client';
import type {Clock} from '../common/clock.ts';
import {usableCount} from './blocks.ts';
import {fieldOf, heldCount} from './decide.ts';
import type {Following} from './follow.ts';
import type {Hub} from './hub.ts';

export function createAllocatorMetrics(
  registry: Registry,
  following: Following,
  hub: Hub,
  clock: Clock,
): void {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[], read: (self: Gauge) => void): Gauge =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        read(this);
      },
    });
  gauge('hawser_overlay_hosts_following', 'Hosts that follow the overlay at this server', [], self =>
    self.set(hub.size()),
  );
  gauge('hawser_overlay_hosts', 'Hosts that announced themselves', [], self =>
    self.set(following.last()?.hosts.size ?? 0),
  );
  gauge('hawser_overlay_unreadable_keys', 'Values in etcd that cannot be read', [], self =>
    self.set(following.last()?.unreadable.size ?? 0),
  );
  gauge(
    'hawser_overlay_addresses',
    'Addresses of a network: usable by containers, held in blocks of machines',
    ['network', 'kind'],
    self => {
      self.reset();
      const view = following.last();
      for (const network of view?.networks.values() ?? []) {
        if (view === undefined) break;
        const field = fieldOf(view, network, clock.now());
        self.set({network: network.name ?? network.id, kind: 'usable'}, usableCount(field));
        self.set({network: network.name ?? network.id, kind: 'held'}, heldCount(field));
      }
    },
  );
}
