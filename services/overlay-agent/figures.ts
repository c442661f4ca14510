/** The agent's figures in Prometheus' text format. By hand: a client library would be resident for a dozen numbers. */
import {sizeOf} from '../common/ipv4.ts';
import {ownBlocks} from './addresses.ts';
import type {Memory} from './memory.ts';
import {driftKinds, type DriftKind, type Plan} from './plan.ts';

const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3] as const;

export class Figures {
  readonly #drift = new Map<DriftKind, number>();
  readonly #buckets = SECONDS.map(() => 0);
  #rounds = 0;
  #seconds = 0;
  #failures = 0;

  round({
    plan,
    seconds,
    failures,
  }: {
    readonly plan: Plan;
    readonly seconds: number;
    readonly failures: number;
  }): void {
    for (const kind of driftKinds) this.#drift.set(kind, (this.#drift.get(kind) ?? 0) + plan.drift[kind]);
    for (const [index, bound] of SECONDS.entries())
      if (seconds <= bound) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    this.#rounds++;
    this.#seconds += seconds;
    this.#failures += failures;
  }

  text(memory: Memory, connected: boolean, machine: string): string {
    const [state, record] = [memory.state(), memory.record()];
    const lines = [
      '# HELP hawser_overlay_drift_total Entries of the kernel that were missing, wrong or too many, and put right',
      '# TYPE hawser_overlay_drift_total counter',
      ...driftKinds.map(kind => `hawser_overlay_drift_total{kind="${kind}"} ${this.#drift.get(kind) ?? 0}`),
      '# HELP hawser_overlay_refused_total Lines that the kernel refused',
      '# TYPE hawser_overlay_refused_total counter',
      `hawser_overlay_refused_total ${this.#failures}`,
      '# HELP hawser_overlay_reconcile_seconds Time to compare and put right',
      '# TYPE hawser_overlay_reconcile_seconds histogram',
      ...SECONDS.map(
        (bound, index) => `hawser_overlay_reconcile_seconds_bucket{le="${bound}"} ${this.#buckets[index]}`,
      ),
      `hawser_overlay_reconcile_seconds_bucket{le="+Inf"} ${this.#rounds}`,
      `hawser_overlay_reconcile_seconds_sum ${this.#seconds}`,
      `hawser_overlay_reconcile_seconds_count ${this.#rounds}`,
      '# HELP hawser_overlay_server_connected Whether the server tells this host what is agreed',
      '# TYPE hawser_overlay_server_connected gauge',
      `hawser_overlay_server_connected ${connected ? 1 : 0}`,
      '# HELP hawser_overlay_peers Hosts that are known besides this one',
      '# TYPE hawser_overlay_peers gauge',
      `hawser_overlay_peers ${[...state.hosts.values()].filter(host => host.machine !== machine).length}`,
      '# HELP hawser_overlay_addresses Addresses of a network on this host: in its blocks, and handed out',
      '# TYPE hawser_overlay_addresses gauge',
    ];
    for (const {id, name = id} of state.networks.values()) {
      const held = ownBlocks(state, id, machine).reduce((sum, block) => sum + sizeOf(block), 0);
      const used = record.allocations.filter(({network}) => network === id).length;
      lines.push(`hawser_overlay_addresses{network="${name}",kind="held"} ${held}`);
      lines.push(`hawser_overlay_addresses{network="${name}",kind="used"} ${used}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
