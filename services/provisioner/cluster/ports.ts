/** What forming a cluster needs from the rest; the command line joins them. */
import type {Clock} from '../../common/clock.ts';
import type {ClusterRecord} from './record.ts';

export interface DockerAnswer {
  readonly status: number;
  readonly body: string;
}

/** One machine, reached by its operator. */
export interface ClusterMachine {
  readonly name: string;
  readonly uuid: string;
  /** Where the other members reach it. */
  readonly address: string;
  /** Runs a shell script as root (over SSH) and returns what it prints. `input` never shows in an argument list. */
  run(script: string, options: {readonly timeoutMs: number}): Promise<string>;
  /** One REST call, by the operator's certificate. Any status is an answer; throws only when none came. */
  docker(method: 'GET' | 'POST', path: string, body?: object): Promise<DockerAnswer>;
}

/** The CA of one cluster's etcd. */
export interface MemberAuthority {
  /** PEM. */
  readonly ca: string;
  /** Whether `certificate` (PEM) is by this CA, for `address`, with time left. */
  isCurrent(certificate: string, address: string): boolean;
  /** Signs a PKCS#10 request for a member; only its key is taken from it. PEM. */
  sign(csr: string, member: {readonly name: string; readonly address: string}): Promise<string>;
}

export interface ClusterStore {
  read(name: string): Promise<ClusterRecord | undefined>;
  list(): Promise<readonly string[]>;
  /** False when there is a record of that name already. */
  create(record: ClusterRecord): Promise<boolean>;
  write(record: ClusterRecord): Promise<void>;
}

export interface ClusterRuntime {
  readonly clock: Clock;
  readonly store: ClusterStore;
  newToken(): string;
  authority(cluster: string): Promise<MemberAuthority>;
  /** Throws when the machine does not run. */
  machine(name: string): Promise<ClusterMachine>;
}
