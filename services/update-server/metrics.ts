/** Figures for Prometheus: counters as things happen, gauges from the fleet when they are asked for. */
import {Counter, Gauge, Histogram, type Registry} from 'prom-client';
import type {UpdateService} from './service.ts';

export interface Metrics {
  readonly answered: (action: string, seconds: number) => void;
  readonly refused: (kind: string) => void;
}

/** Registers the figures; without a registry nothing is counted. */
export function createMetrics(registry: Registry | undefined, service: UpdateService): Metrics {
  if (registry === undefined) return {answered: () => undefined, refused: () => undefined};
  const registers = [registry];
  const answers = new Counter({
    name: 'hawser_check_answers_total',
    help: 'Answers to polls of machines',
    labelNames: ['action'],
    registers,
  });
  const refusals = new Counter({
    name: 'hawser_refused_requests_total',
    help: 'Requests that were refused or failed, by kind',
    labelNames: ['kind'],
    registers,
  });
  const durations = new Histogram({
    name: 'hawser_check_seconds',
    help: 'Time from the request of a poll to its answer',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  });
  const plain = (name: string, help: string, read: () => number): void => {
    const made = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(read());
      },
    });
    registry.registerMetric(made);
  };
  const gauge = (name: string, help: string, label: string, read: () => Map<string, number>): void => {
    const made = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset();
        for (const [value, number] of read()) this.set({[label]: value}, number);
      },
    });
    registry.registerMetric(made);
  };
  const {fleet} = service;
  const machines = () => fleet.machines.values();
  gauge('hawser_machines', 'Machines by the version that they run', 'version', () =>
    tally(machines(), ({record}) => record.report.version),
  );
  gauge('hawser_machines_by_phase', 'Machines by what they are doing', 'phase', () =>
    tally(machines(), ({record}) => record.report.phase),
  );
  gauge('hawser_rollouts', 'Rollouts by state', 'state', () =>
    tally(fleet.rollouts.values(), ({state}) => state),
  );
  gauge('hawser_rollout_failed_machines', 'Machines that failed in the rollout', 'group', () =>
    counts(fleet.crews, crew => crew.failed.size),
  );
  gauge('hawser_rollout_done_machines', 'Machines that are done in the rollout', 'group', () =>
    counts(fleet.crews, crew => crew.done),
  );
  gauge('hawser_rollout_machines', 'Machines that take part in the rollout', 'group', () =>
    counts(fleet.crews, crew => crew.parts.size),
  );
  plain('hawser_machines_silent', 'Machines that were not heard for an hour', () => service.silent(3600));
  plain('hawser_store_connected', '1 while changes arrive from etcd', () => (service.connected() ? 1 : 0));
  gauge('hawser_unreadable_values', 'Values in etcd that this server cannot read', 'code', () =>
    tally(fleet.unreadable.values(), ({code}) => code),
  );
  return {
    answered: (action, seconds) => {
      answers.inc({action});
      durations.observe(seconds);
    },
    refused: kind => refusals.inc({kind}),
  };
}

function tally<Item>(items: Iterable<Item>, by: (item: Item) => string): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const item of items) numbers.set(by(item), (numbers.get(by(item)) ?? 0) + 1);
  return numbers;
}

function counts<Item>(items: ReadonlyMap<string, Item>, number: (item: Item) => number): Map<string, number> {
  return new Map([...items].map(([name, item]) => [name, number(item)]));
}
