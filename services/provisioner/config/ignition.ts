/**
 * Ignition 3.3.0 configs for other parts: the types, and small pure functions that build one. Each returns a new
 * config; whatever has the same key (path, name) is replaced or merged as Ignition merges a child config.
 */
import {ignitionVersion, type IgnitionConfig, type Link, type Unit, type User} from './ignition-schema.ts';
import {mergeConfigs} from './merge.ts';
import type {Gzip} from './ports.ts';
import {packed} from './resources.ts';

export type {
  Directory,
  Disk,
  File,
  Filesystem,
  Group,
  IgnitionConfig,
  Link,
  Luks,
  Partition,
  Raid,
  Resource,
  Storage,
  Unit,
  User,
} from './ignition-schema.ts';
export {ignitionVersion} from './ignition-schema.ts';
export {mergeConfigs} from './merge.ts';

export interface FileSpec {
  /** Absolute and fully simplified. */
  readonly path: string;
  readonly contents: string | Uint8Array;
  /** Permission bits, 0644 when absent. */
  readonly mode?: number;
  readonly user?: string;
  readonly group?: string;
  /** Compresses the contents where that makes the config shorter. */
  readonly gzip?: Gzip;
}

/** A config that changes nothing. */
export function emptyConfig(): IgnitionConfig {
  return {ignition: {version: ignitionVersion}};
}

/** Writes a file, in place of whatever is at its path, with its contents inside the config. */
export function addFile(config: IgnitionConfig, file: FileSpec): IgnitionConfig {
  const bytes = typeof file.contents === 'string' ? new TextEncoder().encode(file.contents) : file.contents;
  const added = {
    path: file.path,
    overwrite: true,
    ...(file.user !== undefined && {user: {name: file.user}}),
    ...(file.group !== undefined && {group: {name: file.group}}),
    contents: packed({}, bytes, file.gzip),
    mode: file.mode ?? 0o644,
  };
  return mergeConfigs(config, {...emptyConfig(), storage: {files: [added]}});
}

/** Makes a symbolic link, in place of whatever is at its path. */
export function addLink(config: IgnitionConfig, link: Pick<Link, 'path'> & {target: string}): IgnitionConfig {
  const added = {path: link.path, overwrite: true, target: link.target, hard: false};
  return mergeConfigs(config, {...emptyConfig(), storage: {links: [added]}});
}

/** Adds an account, or groups and keys to one that the config already has. */
export function addUser(config: IgnitionConfig, user: User): IgnitionConfig {
  return mergeConfigs(config, {...emptyConfig(), passwd: {users: [user]}});
}

/** Adds a systemd unit or drop-ins for one. */
export function addUnit(config: IgnitionConfig, unit: Unit): IgnitionConfig {
  return mergeConfigs(config, {...emptyConfig(), systemd: {units: [unit]}});
}

/** The JSON that Ignition reads, always in the same order of fields. */
export function renderConfig(config: IgnitionConfig, pretty = false): string {
  // Merging with nothing puts the fields into the schema's order.
  return JSON.stringify(mergeConfigs(emptyConfig(), config), undefined, pretty ? 2 : undefined);
}
