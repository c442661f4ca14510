/**
 * The driver port. A driver is one object: what it can be told (flags), the ordered steps by which a machine
 * comes into being (data), one idempotent verb that makes a step true, and a few verbs for later. README.md says how
 * to write one.
 */
import type {Flag, FlagValues} from '../services/common/command.ts';
import type {Clock} from '../services/common/clock.ts';
import type {Paths} from '../services/common/paths.ts';
import type {FirstBootFile} from './ports.ts';
import type {Publisher} from './publisher.ts';

/** What exists for a machine, by name: ids, ports, addresses. Kept in the ledger, never secrets. */
export type Resources = Readonly<Record<string, string | number>>;

/** docker-machine's words. `None`: the driver has made sure that the machine exists no more. */
export type MachineState =
  'Running' | 'Paused' | 'Saved' | 'Stopped' | 'Stopping' | 'Starting' | 'Error' | 'Timeout' | 'None';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Endpoint {
  readonly ssh: Address;
  readonly docker: Address;
  /** Where other machines of the fleet reach this one, when that is another address. */
  readonly privateAddress?: string;
}

export interface ConfigureContext {
  readonly cwd: string;
  readonly paths: Paths;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One step of creation, as data. */
export interface Step {
  readonly name: string;
  /** Shown while it runs. */
  readonly title: string;
  /** What it makes can vanish again (a process): a resumed creation ensures it even though it was done. */
  readonly volatile?: boolean;
}

/** A machine as its driver sees it. */
export interface DriverMachine {
  readonly uuid: string;
  readonly name: string;
  readonly generation: number;
  /** The machine's own folder; the driver may use `folder/<driver name>`. */
  readonly folder: string;
  /** What `configure` returned at creation. */
  readonly settings: unknown;
  readonly resources: Resources;
}

/** What the core lends to a driver for a question. */
export interface DriverContext {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The operator's environment: where credentials come from, each time anew. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Identifies the store: machines of one store see each other. */
  readonly fleet: string;
  /** Who works here, for the tags of what is made. */
  readonly operator: string;
}

/** What the core lends to a driver that changes something. */
export interface DriverHost extends DriverContext {
  /** A line about what goes on, shown with the running step. */
  report(detail: string): void;
  /** Writes down, durably and before the step is done, what exists by now. */
  note(step: string, resources: Resources): Promise<void>;
  /**
   * Picks resources that no other machine of the store has: `choose` gets what the others hold, runs under the
   * store's lock, and its answer is in the ledger before the lock is released.
   */
  reserve(step: string, choose: (others: readonly Resources[]) => Promise<Resources>): Promise<Resources>;
  /** The first-boot configuration with the driver's own `files`; the same bytes each time it is asked for. */
  firstBoot(files: readonly FirstBootFile[]): Promise<{readonly path: string; readonly text: string}>;
}

/** How a machine was found. */
export interface Observation {
  readonly state: MachineState;
  /** What is not as the ledger says (an address that changed); stands above it, and is not written down. */
  readonly resources?: Resources;
  /** Why it is in this state, where the platform says so. */
  readonly detail?: string;
}

/** A machine of this store that the platform itself knows of, by its tags. */
export interface Found {
  readonly uuid: string;
  readonly name: string;
  readonly generation: number;
  /** ISO 8601. */
  readonly created: string;
  /** One line: what there is of it, for instance `instance i-0123, volume vol-4567`. */
  readonly what: string;
  readonly resources: Resources;
}

export interface Driver {
  readonly name: string;
  readonly summary: string;
  /** Each flag's name begins with the driver's name. */
  readonly flags: readonly Flag[];
  /** Its machines live on this computer: they cannot be reached from another one, or moved to its store. */
  readonly local?: true;
  /** The flag that says how big a machine is: `size` in a fleet file. */
  readonly sizeFlag?: string;
  /** How many machines may be made or removed at the same time; unbounded when absent. */
  readonly parallel?: number;
  /** Turns flags into settings: JSON, with absolute paths and without secrets. Throws `bad-setting`. */
  configure(flags: FlagValues, from: ConfigureContext): Promise<unknown>;
  /** Everything that can be found wrong before something is made. Throws by `checkFailed`. */
  preCreateCheck(settings: unknown, context: DriverContext): Promise<void>;
  /** The login, where the driver is told another one than the first-boot configuration makes. */
  login?(settings: unknown): string;
  plan(settings: unknown): readonly Step[];
  /** Makes a step true, whether or not it is already; returns what exists because of it. */
  ensure(step: string, machine: DriverMachine, host: DriverHost): Promise<Resources>;
  /**
   * Machines with the same place are observed by one call; absent, each is asked on its own. For a cloud: endpoint,
   * project and region.
   */
  place?(settings: unknown): string;
  /** By UUID. A machine that the answer leaves out is `None`. */
  observe(
    machines: readonly DriverMachine[],
    context: DriverContext,
  ): Promise<ReadonlyMap<string, Observation>>;
  /** Returns resources that changed (an address, a port). */
  start(machine: DriverMachine, host: DriverHost): Promise<Resources>;
  /** Asks the system to shut down, and cuts the power after `graceSeconds`. */
  stop(machine: DriverMachine, host: DriverHost, graceSeconds: number): Promise<void>;
  kill(machine: DriverMachine, host: DriverHost): Promise<void>;
  /**
   * Removes every trace outside the machine's folder. Succeeds when there is none. A driver with `list` finds what
   * there is by the UUID's tags, whatever the resources say: `gc` calls it for machines without a ledger.
   */
  destroy(machine: DriverMachine, host: DriverHost): Promise<void>;
  /** Undefined until the steps that decide it are done. */
  endpoint(machine: DriverMachine): Endpoint | undefined;
  /** Where the machine reaches a server that this host reaches at `address`; absent where that is the same. */
  serverFromInside?(settings: unknown, address: Address): Address;
  /** A file that the machine's console is written to. */
  consoleLog?(machine: DriverMachine): string;
  /** Ends what lives from a machine's folder whose record cannot be read any more. */
  abandon?(folder: string, clock: Clock): Promise<void>;
  /** Every machine with this store's tag at the place that `settings` name; finds what no record tells of. */
  list?(settings: unknown, context: DriverContext): Promise<readonly Found[]>;
  /** Brings a built image to where this driver's machines can start from it. */
  readonly publisher?: Publisher;
}
