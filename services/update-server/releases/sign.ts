/** Plans metadata: which files are written, in which order, signed by whom. Nothing touches the disk here. */
import {Metadata, MetaFile, Snapshot, Targets, Timestamp, type Root, type TargetFile} from '@tufjs/models';
import {sha256} from '../../common/hash.ts';
import {EXTRA, metadataPath, type Withdrawal} from '../../common/tuf/metadata.ts';
import {ReleasesError} from './errors.ts';
import type {Role, Signer} from './keys/key.ts';
import {expiry, type Lifetimes} from './lifetimes.ts';

/** A file to write. The order of a list of them is the order of writing. */
export interface Write {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export const specVersion = '1.0.31';

/** What targets.json says. */
export interface TargetsContent {
  readonly targets: Readonly<Record<string, TargetFile>>;
  readonly withdrawn: Readonly<Record<string, Withdrawal>>;
}

export interface MetadataPlan {
  /** Roots whose thresholds the signatures must meet: two while a key is being changed. */
  readonly roots: readonly Root[];
  readonly signers: (role: Role) => readonly Signer[];
  readonly now: Date;
  readonly lifetimes: Lifetimes;
  /** Versions to give. */
  readonly versions: {readonly targets: number; readonly snapshot: number; readonly timestamp: number};
  /** New content; absent: targets.json stays as it is, and the snapshot too unless `snapshot` is set. */
  readonly targets?: TargetsContent | undefined;
  readonly snapshot?: boolean | undefined;
  /** What the snapshot and the timestamp name where they are not made anew. */
  readonly current: {readonly targets: MetaFile; readonly snapshot: MetaFile} | undefined;
}

/**
 * targets.json, snapshot.json and timestamp.json, as far as they are made anew: each names the one before, and clients
 * see none of it until the last one is in its place.
 */
export function planMetadata(plan: MetadataPlan): Write[] {
  const {now, lifetimes, versions, roots, signers} = plan;
  const writes: Write[] = [];
  const add = (path: string, role: Role, signed: Targets | Snapshot | Timestamp): MetaFile => {
    const bytes = signFor(role, signed, roots, signers(role));
    writes.push({path, bytes});
    return new MetaFile({version: signed.version, length: bytes.length, hashes: {sha256: sha256(bytes)}});
  };
  const common = (role: Role, version: number) => ({
    version,
    specVersion,
    expires: expiry(now, lifetimes[role]),
  });

  let targetsMeta = plan.current?.targets;
  if (plan.targets !== undefined) {
    const signed = new Targets({
      ...common('targets', versions.targets),
      targets: {...plan.targets.targets},
      unrecognizedFields: {[EXTRA]: {withdrawn: json(plan.targets.withdrawn)}},
    });
    targetsMeta = add(metadataPath.targets(versions.targets), 'targets', signed);
  }
  let snapshotMeta = plan.current?.snapshot;
  if (plan.targets !== undefined || plan.snapshot === true || snapshotMeta === undefined) {
    const signed = new Snapshot({
      ...common('snapshot', versions.snapshot),
      meta: targetsMeta === undefined ? {} : {'targets.json': targetsMeta},
    });
    snapshotMeta = add(metadataPath.snapshot(versions.snapshot), 'snapshot', signed);
  }
  const signed = new Timestamp({
    ...common('timestamp', versions.timestamp),
    snapshotMeta,
    unrecognizedFields: {[EXTRA]: {signedAt: expiry(now, 0)}},
  });
  add(metadataPath.timestamp(), 'timestamp', signed);
  return writes;
}

/** A root, signed for itself and for those before it. */
export function planRoot(root: Root, before: readonly Root[], signers: readonly Signer[]): Write {
  return {path: metadataPath.root(root.version), bytes: signFor('root', root, [...before, root], signers)};
}

/**
 * The signed file. Every key at hand that one of `roots` trusts for the role signs. Throws `not-enough-keys` when a
 * threshold is not met.
 */
export function signFor(
  role: Role,
  signed: Root | Targets | Snapshot | Timestamp,
  roots: readonly Root[],
  signers: readonly Signer[],
): Uint8Array {
  const metadata = new Metadata(signed);
  for (const root of roots) {
    const {able, threshold} = count(role, root, signers);
    if (able.length < threshold) {
      throw new ReleasesError(
        'not-enough-keys',
        `${threshold} of the ${role} keys must sign, and ${able.length} are at hand`,
        {remedy: 'name the folders of the others with --keys, once for each'},
      );
    }
    for (const signer of able) metadata.sign(signer.sign);
  }
  return Buffer.from(`${JSON.stringify(metadata.toJSON())}\n`);
}

/** The signers that `root` trusts for `role`, and how many it wants. */
export function count(
  role: Role,
  root: Root,
  signers: readonly Signer[],
): {able: readonly Signer[]; threshold: number} {
  const wanted = root.roles[role];
  const ids = new Set(wanted?.keyIDs);
  return {able: signers.filter(({key}) => ids.has(key.keyID)), threshold: wanted?.threshold ?? 1};
}

/** JSON without the readonly marks that the models do not take. */
function json(withdrawn: Readonly<Record<string, Withdrawal>>): Record<string, Record<string, string>> {
  return Object.fromEntries(Object.entries(withdrawn).map(([version, entry]) => [version, {...entry}]));
}
