/** What the machine layer needs from the rest of Hawser; the command line joins them. */
import type {Clock} from '../services/common/clock.ts';
import type {EnrolmentConfig, EnrolmentGrant} from '../services/common/contracts/enrolment.ts';
import type {Paths} from '../services/common/paths.ts';

/** The operator's own CA. */
export interface Enrolment {
  /** The single-use token and who it is for, as it is written into the first-boot configuration. */
  issue(subject: {
    readonly machine: string;
    readonly name: string;
    readonly generation: number;
    readonly lifetimeSeconds: number;
  }): Promise<EnrolmentConfig>;
  /**
   * Checks the request's MAC and that it names the SSH host key that was seen on the connection, signs.
   * `extraNames` are further DNS names and addresses for the certificate.
   */
  accept(
    requestJson: string,
    evidence: {readonly machine: string; readonly hostKeySeen: string},
    extraNames: readonly string[],
  ): Promise<EnrolmentGrant>;
  /** Makes the machine's token worthless. Fine when it is unknown. */
  forget(machine: string): Promise<void>;
  /** A certificate for the operator's Docker client, PEM; `fresh`: not the one that there is. */
  clientCertificate(
    user: string,
    options?: {readonly fresh?: boolean},
  ): Promise<{readonly cert: string; readonly key: string; readonly ca: string}>;
}

/** A file that a driver wants on the machine from its first boot on. */
export interface FirstBootFile {
  readonly path: string;
  readonly mode: number;
  readonly contents: string;
}

export interface FirstBootWish {
  readonly hostname: string;
  readonly sshAuthorizedKeys: readonly string[];
  readonly enrolment: EnrolmentConfig;
  readonly files: readonly FirstBootFile[];
  /** Merged in. */
  readonly operatorConfig?: OperatorConfig;
}

/** The operator's own configuration, YAML or Ignition JSON. */
export interface OperatorConfig {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
}

/** The login that the first-boot configuration makes. */
export const machineUser = 'core';

export interface FirstBoot {
  /** Throws, as `render` would, when the operator's configuration has problems. */
  check(config: OperatorConfig): Promise<void>;
  /** Ignition JSON. Throws when the operator's configuration has problems, each with its position. */
  render(wish: FirstBootWish): Promise<string>;
}

/** How a new machine is to be updated. */
export interface UpdateWish {
  /** Address of the update server as the machine reaches it. */
  readonly server: string;
  readonly labels: Readonly<Record<string, string>>;
  /** File with the TUF root that the machine trusts first; when absent, the publisher's own, else the newest of the repository. */
  readonly root?: string;
}

/** Everything from outside that the machine commands use. */
export interface MachineRuntime {
  readonly paths: Paths;
  readonly clock: Clock;
  /** The operator's environment, for drivers: credentials are read from it each time, and never kept. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Who works here: the name in the Docker client's certificate. */
  readonly operator: string;
  newUuid(): string;
  /** Opened late: most commands need no CA. */
  enrolment(): Promise<Enrolment>;
  firstBoot(): Promise<FirstBoot>;
  /** Told when a machine and every trace of it are gone. Does not throw. */
  removed?(machine: {readonly uuid: string; readonly name: string}): Promise<void>;
  /** The files by which the machine's update agent knows its server and whom it trusts. */
  updateFiles(wish: UpdateWish): Promise<readonly FirstBootFile[]>;
}
