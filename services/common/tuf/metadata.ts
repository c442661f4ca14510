/** What Hawser adds to TUF's metadata, below the signed field `hawser`, and the names of files in a repository. */
import type {Targets, Timestamp} from '@tufjs/models';
import {Type, type Static} from 'typebox';
import {Value} from 'typebox/value';
import {Hex64, repositoryFolders, SemverText} from '../contracts/release.ts';

export const Withdrawal = Type.Object({
  rootHash: Hex64,
  reason: Type.String({maxLength: 1024}),
  /** RFC 3339. */
  at: Type.String({maxLength: 40}),
});
export type Withdrawal = Static<typeof Withdrawal>;

/** In targets.json: versions that were published once and must not be installed any more. */
const TargetsExtra = Type.Object({withdrawn: Type.Record(SemverText, Withdrawal)});
/** In timestamp.json: TUF itself signs only when it ends. */
const TimestampExtra = Type.Object({signedAt: Type.String({maxLength: 40})});

/** In each target: what can be chosen by without the manifest. */
export const TargetExtra = Type.Object({rootHash: Hex64, created: Type.String(), barrier: Type.Boolean()});
export type TargetExtra = Static<typeof TargetExtra>;

export const EXTRA = 'hawser';

export function withdrawnReleases(targets: Targets): Readonly<Record<string, Withdrawal>> {
  const extra = targets.unrecognizedFields[EXTRA];
  return Value.Check(TargetsExtra, extra) ? extra.withdrawn : {};
}

/** When the holder of the timestamp key signed; undefined when it does not say. */
export function signedAt(timestamp: Timestamp): Date | undefined {
  const extra = timestamp.unrecognizedFields[EXTRA];
  if (!Value.Check(TimestampExtra, extra)) return undefined;
  const time = new Date(extra.signedAt);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

export const metadataPath = {
  root: (version: number) => `${repositoryFolders.metadata}/${version}.root.json`,
  targets: (version: number) => `${repositoryFolders.metadata}/${version}.targets.json`,
  snapshot: (version: number) => `${repositoryFolders.metadata}/${version}.snapshot.json`,
  timestamp: () => `${repositoryFolders.metadata}/timestamp.json`,
} as const;

/** TUF 3.6, consistent snapshots: `releases/1.2.3.json` is stored as `releases/<sha256>.1.2.3.json`. */
export function targetPath(name: string, sha256: string): string {
  const slash = name.lastIndexOf('/') + 1;
  return `${repositoryFolders.targets}/${name.slice(0, slash)}${sha256}.${name.slice(slash)}`;
}

/** The version of a target name `releases/<version>.json`, or undefined for another target. */
export function versionOfTarget(name: string): string | undefined {
  const version = /^releases\/([^/]+)\.json$/.exec(name)?.[1];
  return version !== undefined && Value.Check(SemverText, version) ? version : undefined;
}
