/** Rules over several fields for files, directories, links, units, and whatever is fetched, as Ignition has them. */
import {errorAt, written, type CheckContext} from './check-context.ts';
import type {Directory, File, IgnitionConfig, Link, Resource, Storage, Unit} from './ignition-schema.ts';
import {hasInstallSection} from './unit-file.ts';
import {urlScheme} from './urls.ts';

type FileNode = File | Directory | Link;

export function checkFiles(storage: Storage, context: CheckContext): void {
  const {directories = [], files = [], links = []} = storage;
  for (const node of [...directories, ...files, ...links]) {
    checkOwner(node, 'user', context);
    checkOwner(node, 'group', context);
    checkParents(node, links, context);
  }
  for (const file of files) checkFile(file, context);
  for (const link of links) checkLink(link, directories, context);
}

function checkOwner(node: FileNode, field: 'user' | 'group', context: CheckContext): void {
  const owner = node[field];
  if (owner?.id !== undefined && (owner.name ?? '') !== '') {
    errorAt(context, owner, undefined, `${field} takes an id or a name, not both`);
  }
}

/** Ignition writes nothing through links that it makes itself. */
function checkParents(node: FileNode, links: readonly Link[], context: CheckContext): void {
  const parent = links.find(link => link.path !== '' && node.path.startsWith(`${link.path}/`));
  if (parent === undefined) return;
  errorAt(context, node, 'path', `the path leads through the link "${parent.path}" of this config`);
}

function checkFile(file: File, context: CheckContext): void {
  if (file.overwrite === true && file.contents?.source === undefined) {
    errorAt(context, file, 'overwrite', 'overwrite: true needs contents');
  }
  for (const resource of [file.contents, ...(file.append ?? [])]) checkResource(resource, context);
}

function checkLink(link: Link, directories: readonly Directory[], context: CheckContext): void {
  const target = link.target ?? '';
  if (target === '') {
    errorAt(context, link, 'target', 'missing field "target"');
    return;
  }
  if (link.hard !== true) return;
  // Ignition takes relative targets of hard links from the link's own path.
  const resolved = resolvePath(target.startsWith('/') ? target : `${link.path}/${target}`);
  if (directories.some(directory => directory.path === resolved)) {
    errorAt(context, link, 'target', 'a hard link cannot point to a directory');
  }
}

function resolvePath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

export function checkUnits(units: readonly Unit[], context: CheckContext): void {
  for (const unit of units) {
    if (unit.enabled === true && unit.contents && !hasInstallSection(unit.contents)) {
      const message = `"${unit.name}" is enabled but has no [Install] section, so enabling does nothing`;
      context.report.warn(context.marks.at(unit, 'enabled'), message);
    }
  }
}

export function checkIgnitionSection(config: IgnitionConfig, context: CheckContext): void {
  const {ignition} = config;
  const required = [
    ...(ignition.config?.merge ?? []),
    ...(ignition.security?.tls?.certificateAuthorities ?? []),
  ];
  for (const resource of required) {
    if ((resource.source ?? '') === '') errorAt(context, resource, undefined, `missing field "source"`);
  }
  for (const resource of [...required, ignition.config?.replace]) checkResource(resource, context);
  for (const luks of config.storage?.luks ?? []) checkResource(luks.keyFile, context);
}

function checkResource(resource: Resource | undefined, context: CheckContext): void {
  if (resource === undefined) return;
  const scheme = urlScheme(resource.source ?? '');
  if (resource.verification?.hash !== undefined && resource.source === undefined) {
    errorAt(context, resource.verification, 'hash', 'there is nothing to verify: no source is given');
  }
  if ((resource.httpHeaders ?? []).length > 0 && scheme !== 'http' && scheme !== 'https') {
    const name = written(context, 'httpHeaders');
    errorAt(context, resource, 'httpHeaders', `"${name}" goes with an http or https source only`);
  }
  if (scheme === 's3' && (resource.compression ?? '') !== '') {
    errorAt(context, resource, 'compression', 'compression cannot be used with S3');
  }
}
