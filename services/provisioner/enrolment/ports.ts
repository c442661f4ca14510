/** What enrolment needs from the world. */
import type {MachineRecord} from './ledger.ts';

export interface Stored {
  readonly record: MachineRecord;
  /** Changes with every write. */
  readonly version: number;
}

/** Where the ledger lives. One value a machine, changed by compare-and-swap only. */
export interface EnrolmentStore {
  read(machine: string): Promise<Stored | undefined>;
  /**
   * Writes durably if the machine's value still has `version` (0: there is none). Returns false, having changed
   * nothing, when somebody else was faster.
   */
  write(record: MachineRecord, version: number): Promise<boolean>;
  /** Forgets a machine: its token is worth nothing from then on. Fine when there is none. */
  remove(machine: string): Promise<void>;
}

/** The road to a machine that cannot reach a server: a logged-in SSH connection of the machine layer. */
export interface MachineConsole {
  /** What `hawser-enrol show` printed. */
  readRequest(): Promise<string>;
  /** Gives `json` to `hawser-enrol accept` on its standard input. */
  sendGrant(json: string): Promise<void>;
  /** The host key that this very connection was made with, as `type base64`. */
  readonly hostKeySeen: string;
}
