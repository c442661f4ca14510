/** What the rack's service needs from outside. */
import type {RackArtefact} from '../../common/contracts/rack.ts';
import type {RackMachine} from './record.ts';

export interface Stored {
  readonly machine: RackMachine;
  /** Counts the changes of this record. */
  readonly version: number;
}

export interface RackStore {
  list(): Promise<readonly Stored[]>;
  /** False when the record is not at `version` any more (0: it must not exist). */
  write(machine: RackMachine, version: number): Promise<boolean>;
  /** Whether `name` is this machine's, by this call or an earlier one; of several machines that claim it one gets it. */
  claimName(name: string, machine: string): Promise<boolean>;
  /** A line for people about an installation; not durable. */
  log(machine: string, lines: readonly string[]): Promise<void>;
}

/** The release that is installed. */
export interface RackRelease {
  readonly version: string;
  readonly rootHash: string;
  /** URLs are the netboot side's. */
  readonly artefacts: readonly RackArtefact[];
}

export interface RackSupplies {
  /** Undefined while no image is there: machines wait. */
  release(): Promise<RackRelease | undefined>;
  /** The Ignition config of this machine: the same bytes for the same generation. */
  config(machine: RackMachine): Promise<string>;
  /** The bearer token of a permit's config: derived, so that none is stored. */
  tokenOf(permit: string): string;
  /** Whether the installed system has its certificate, by the token of this generation. */
  hasEnrolled(machine: string, generation: number): Promise<boolean>;
  newPermitId(): string;
}
