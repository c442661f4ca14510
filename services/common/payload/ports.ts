/**
 * What publisher and host agree on: how a payload is asked for and staged. The publisher's side is
 * `services/update-server/payload/build-payload.ts`, the host's `services/update-agent/payload/stage-payload.ts`.
 */
import type {ReleaseManifest, RepositoryFile} from '../contracts/release.ts';

/** What a publisher hands over: files of one image build. */
export interface PayloadInput {
  /** The erofs image, a multiple of 4096 bytes. */
  readonly usr: string;
  /** Its dm-verity hash partition, as `veritysetup format` wrote it. */
  readonly tree: string;
  readonly uki: string;
  readonly bootLoader: string;
  /** Folder that receives the payload files: `payloads/` of a repository. Files that are there stay. */
  readonly out: string;
  /**
   * The release before this one, in the same or another repository: unchanged blocks need no compression again,
   * changed ones are grouped by the release that brought them, and a patch is made. Absent for a first release.
   */
  readonly previous?: PreviousRelease | undefined;
  readonly signal: AbortSignal;
  /** Called with a fraction from 0 to 1. */
  readonly onProgress?: ((done: number, what: string) => void) | undefined;
}

export interface PreviousRelease {
  readonly manifest: Pick<ReleaseManifest, 'rootHash' | 'usr' | 'payload'>;
  /** Root of the repository: `manifest.payload.path` is relative to it. */
  readonly repository: string;
}

/** What goes into the release's manifest; the same input gives the same bytes and names. */
export interface PayloadOutput {
  readonly rootHash: string;
  readonly payload: RepositoryFile;
  /** Every file of the payload, `payload` first: what a garbage collection must keep for this release. */
  readonly files: readonly RepositoryFile[];
  /** Bytes that a machine with nothing of the release fetches. */
  readonly fullBytes: number;
  readonly usr: ReleaseManifest['usr'];
  readonly uki: ReleaseManifest['uki'];
  readonly bootLoader: ReleaseManifest['bootLoader'];
}

/** One request to a repository. The answer's body is read to the end or abandoned. */
export interface FetchRequest {
  readonly url: string;
  /** First and last byte, inclusive, as in the Range header; absent for the whole file. */
  readonly range?: {readonly first: number; readonly last: number} | undefined;
  readonly signal: AbortSignal;
}

export interface FetchAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * How a host reaches its repositories: `adapters/http-fetch.ts` of the agent, with its TLS. Throws whatever the
 * network throws; every such error is retried, then reported as `repository-unreachable`.
 */
export type RepositoryFetch = (request: FetchRequest) => Promise<FetchAnswer>;

export interface RunningRelease {
  /** Device or file of the /usr that the machine runs, its hash tree, and its UKI. All are read only. */
  readonly usrDevice: string;
  readonly treeDevice: string;
  readonly ukiPath: string;
  /** The boot loader in place: it is copied when the release carries the same. */
  readonly bootLoaderPath?: string | undefined;
  readonly rootHash: string;
}

export interface StageRequest {
  readonly manifest: ReleaseManifest;
  /** Base addresses, tried in order; `payloads/...` follows. */
  readonly repositories: readonly string[];
  readonly fetch: RepositoryFetch;
  /** Absent where nothing is known to run: everything is fetched. */
  readonly running: RunningRelease | undefined;
  /** The idle slot: devices, or files of the right size. */
  readonly target: {readonly usrDevice: string; readonly treeDevice: string};
  /** Files that are written whole and durably when all else is proven; put them in place by a rename. */
  readonly ukiOut: string;
  readonly bootLoaderOut: string;
  /** Absent for no bound. */
  readonly bytesPerSecond?: number | undefined;
  readonly onProgress?: ((progress: StageProgress) => void) | undefined;
  readonly signal: AbortSignal;
}

export interface StageProgress {
  readonly phase: 'index' | 'copy' | 'fetch' | 'prove' | 'boot';
  /** Bytes of /usr that are in place, of `totalBytes`. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly fetchedBytes: number;
}

export interface StageResult {
  /** Bodies received, without headers: index, leaves, blocks, UKI and boot loader. */
  readonly fetchedBytes: number;
  /** Bytes taken from the running slot. */
  readonly copiedBytes: number;
  /** Bytes found in the target slot as they had to be: an interrupted update, or a release much like it. */
  readonly keptBytes: number;
  /** Bytes of the UKI that came from the running one, or were made from /usr. */
  readonly reusedUkiBytes: number;
  readonly requests: number;
  /** True when the patch from the predecessor was used. */
  readonly patched: boolean;
  /** How the slot was read back: `direct` past the page cache, `buffered` where the device has no direct reads. */
  readonly readBack: 'direct' | 'buffered';
}
