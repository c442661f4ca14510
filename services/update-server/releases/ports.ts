/** What releases need of the world outside. */
import type {PayloadInput, PayloadOutput} from '../../common/payload/ports.ts';
import type {Role, Signer} from './keys/key.ts';

/** The repository's files; `path` is relative to its root. */
export interface RepositoryStore {
  /** Folder or address, for messages. */
  readonly name: string;
  /** Undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Old bytes or new ones after any interruption, and durable when it returns. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** File names in a folder; none when the folder is missing. */
  list(folder: string): Promise<readonly string[]>;
  /** One publisher at a time. Throws `busy`. */
  lock(signal: AbortSignal): Promise<AsyncDisposable>;
}

/** Keys that can sign now, for one role; which of them count is the root's word. */
export interface KeyStore {
  signers(role: Role): Promise<readonly Signer[]>;
  /** Makes keys, durably, before anything trusts them. */
  create(role: Role, count: number): Promise<readonly Signer[]>;
  /** Puts keys away that no root trusts any more. */
  retire(role: Role, keyIds: readonly string[]): Promise<void>;
  readonly memory: PublisherMemory;
}

/** What this publisher signed last: so that it never signs on top of something older or foreign. */
export interface PublisherMemory {
  load(): Promise<Remembered | undefined>;
  save(remembered: Remembered): Promise<void>;
}

export interface Remembered {
  /** The newest root. */
  readonly root: Uint8Array;
  /** Version of targets.json. */
  readonly targets: number;
}

/** A package in an image. */
export interface PackageVersion {
  readonly name: string;
  readonly version: string;
}

/** What publishing needs to know of a built image. */
export interface ReleaseImage {
  readonly name: string;
  readonly version: string;
  readonly rootHash: string;
  readonly signed: boolean;
  readonly locked: boolean;
  readonly packages: readonly PackageVersion[];
  /** Paths, with what the image's manifest says of them. */
  readonly files: Readonly<Record<'usr' | 'tree' | 'uki' | 'bootLoader', ImageFile>>;
}

export interface ImageFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** Writes the payload of an image into the repository: `payload/build-payload.ts`. */
export type BuildPayload = (input: PayloadInput) => Promise<PayloadOutput>;
