/** The report's `rollingUpdate`: what the client counted and what the machines told, put together. Pure. */
import type {MachineEvent} from '../../services/common/contracts/fleet.ts';
import type {LoadReport} from './load-count.ts';

/** What the update server knows of one machine after the update. */
export interface UpdatedMachine {
  readonly name: string;
  readonly version: string;
  /** Fetched for the release that it runs now. */
  readonly bytesFetched: number;
  readonly events: readonly MachineEvent[];
}

export interface RollingUpdate {
  readonly from: string;
  readonly to: string;
  readonly requestsSent: number;
  readonly requestsFailed: number;
  readonly machinesUpdated: number;
  readonly bytesFetchedPerMachine: Readonly<Record<string, number>>;
  readonly fullImageBytes: number;
  readonly secondsPerMachine: Readonly<Record<string, number>>;
  readonly load: LoadReport;
  readonly timeline: readonly TimelineEntry[];
}

export interface TimelineEntry {
  readonly at: string;
  readonly machine: string;
  readonly what: string;
}

export function rollingUpdate(given: {
  readonly from: string;
  readonly to: string;
  readonly fullImageBytes: number;
  readonly machines: readonly UpdatedMachine[];
  readonly load: LoadReport;
  /** Of the release's promotion: older events are of earlier updates. */
  readonly since: string;
}): RollingUpdate {
  const {from, to, load, fullImageBytes, since} = given;
  const machines = given.machines.map(machine => ({...machine, events: eventsSince(machine, since)}));
  const updated = machines.filter(({version}) => version === to);
  return {
    from,
    to,
    requestsSent: load.sent,
    requestsFailed: load.failed,
    machinesUpdated: updated.length,
    bytesFetchedPerMachine: Object.fromEntries(machines.map(({name, bytesFetched}) => [name, bytesFetched])),
    fullImageBytes,
    secondsPerMachine: Object.fromEntries(updated.map(({name, events}) => [name, secondsOf(events)])),
    load,
    timeline: timelineOf(machines, since),
  };
}

function eventsSince({events}: {events: readonly MachineEvent[]}, since: string): MachineEvent[] {
  return events.filter(({at}) => Date.parse(at) >= Date.parse(since));
}

/** From the first to the last event of the update: fetch, drain, reboot, proof and return. */
function secondsOf(events: readonly MachineEvent[]): number {
  const times = events.map(({at}) => Date.parse(at));
  return times.length === 0 ? 0 : Math.round((Math.max(...times) - Math.min(...times)) / 100) / 10;
}

/** Who did what since then, in the order of time; of one machine, in the order of its own count. */
export function timelineOf(
  machines: readonly {readonly name: string; readonly events: readonly MachineEvent[]}[],
  since: string,
): TimelineEntry[] {
  return machines
    .flatMap(({name, events}) => eventsSince({events}, since).map(event => ({name, event})))
    .toSorted(
      (a, b) =>
        Date.parse(a.event.at) - Date.parse(b.event.at) ||
        a.name.localeCompare(b.name) ||
        a.event.sequence - b.event.sequence,
    )
    .map(({name, event}) => ({
      at: event.at,
      machine: name,
      what: [event.kind, event.version, event.detail].filter(word => word !== undefined).join(' '),
    }));
}

/** Why the demonstration has not shown what it is meant to; empty when it has. */
export function shortcomings(update: RollingUpdate, machines: number): string[] {
  return [
    ...(update.machinesUpdated === machines
      ? []
      : [`${update.machinesUpdated} of ${machines} machines run ${update.to}`]),
    ...loadShortcomings(update.load),
  ];
}

/** A load that did not run at its rate throughout, or never had a slow answer, proves nothing by having no failures. */
export function loadShortcomings(load: LoadReport): string[] {
  return [
    ...(load.failed === 0 ? [] : [`${load.failed} requests failed`]),
    ...(load.sent / Math.max(1, load.seconds) >= 20 ? [] : ['fewer than 20 requests a second were sent']),
    ...(load.onNewConnections > 0 && load.onKeptConnections > 0
      ? []
      : ['one kind of connection was not used']),
    ...(load.slowSucceeded > 0 ? [] : ['no slow answer came']),
  ];
}

/** Lines for people. */
export function renderRollingUpdate(update: RollingUpdate): string[] {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const share = (bytes: number) => `${((bytes / Math.max(1, update.fullImageBytes)) * 100).toFixed(1)}%`;
  return [
    `${update.from} -> ${update.to}: ${update.requestsSent} requests sent, ${update.requestsFailed} failed`,
    ...Object.entries(update.bytesFetchedPerMachine).map(
      ([name, bytes]) =>
        `${name}: ${megabytes(bytes)} fetched (${share(bytes)} of ${megabytes(update.fullImageBytes)}), ` +
        `${update.secondsPerMachine[name] ?? '-'} s`,
    ),
    ...update.timeline.map(({at, machine, what}) => `${at}  ${machine}  ${what}`),
    ...renderFailures(update.load),
  ];
}

export function renderFailures(load: LoadReport): string[] {
  return load.failures.slice(0, 10).map(failure => {
    const {at, kind, path, connection, detail} = failure;
    return `failed after ${(at / 1000).toFixed(1)} s: ${kind} ${path} on a ${connection} connection: ${detail}`;
  });
}
