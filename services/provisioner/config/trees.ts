/** Butane's `trees`: every file and link below a local directory, written into the config. */
import type {Tree} from './butane-schema.ts';
import {errorAt} from './check-context.ts';
import type {Directory, File, Link} from './ignition-schema.ts';
import type {LocalEntry} from './ports.ts';
import {packed, readLocal, type TranslateContext} from './resources.ts';

/** What a config writes, by path. */
interface Nodes {
  readonly files: Map<string, File>;
  readonly links: Map<string, Link>;
  readonly directories: ReadonlySet<string>;
}

/** More files than this are a mistake (a home directory), not a config. */
const MAX_FILES = 10_000;

interface Walk {
  readonly tree: Tree;
  readonly nodes: Nodes;
  readonly context: TranslateContext;
  left: number;
}

/**
 * `files` and `links` with those of the trees. A file or link of the config at the same path gives mode and owner,
 * and must have no contents of its own.
 */
export function addTrees(
  trees: readonly Tree[],
  given: {files: readonly File[]; links: readonly Link[]; directories: readonly Directory[]},
  context: TranslateContext,
): {files: File[]; links: Link[]} {
  const nodes: Nodes = {
    files: byPath(given.files),
    links: byPath(given.links),
    directories: new Set(given.directories.map(directory => directory.path)),
  };
  for (const tree of trees) {
    const walk = {tree, nodes, context, left: MAX_FILES};
    const root = readLocal(tree.local, context);
    if (root.kind === 'folder') walkFolder(walk, tree.local, tree.path ?? '/', root.names);
    else fail(walk, root.kind === 'unavailable' ? root.reason : `"${tree.local}" is not a directory`);
  }
  return {files: replaced(given.files, nodes.files), links: replaced(given.links, nodes.links)};
}

/** The first of each path. */
function byPath<Node extends {path: string}>(nodes: readonly Node[]): Map<string, Node> {
  return new Map(nodes.toReversed().map(node => [node.path, node]));
}

/** Duplicates stay in the list, for the check that reports them. */
function replaced<Node extends {path: string}>(given: readonly Node[], nodes: Map<string, Node>): Node[] {
  const seen = new Set<string>();
  const kept = given.map(node => {
    const first = !seen.has(node.path);
    seen.add(node.path);
    return first ? (nodes.get(node.path) ?? node) : node;
  });
  return [...kept, ...[...nodes.values()].filter(node => !seen.has(node.path))];
}

function walkFolder(walk: Walk, local: string, target: string, names: readonly string[]): void {
  for (const name of [...names].sort()) {
    const below = `${local.replace(/\/+$/u, '')}/${name}`;
    const path = target === '/' ? `/${name}` : `${target}/${name}`;
    addEntry(walk, below, path, walk.context.readLocal?.(below, false) ?? {kind: 'other'});
    if (walk.left < 0) return;
  }
}

function addEntry(walk: Walk, local: string, path: string, entry: LocalEntry): void {
  walk.left -= 1;
  if (walk.left < 0) fail(walk, `the tree has more than ${MAX_FILES} files and directories`);
  else if (entry.kind === 'folder') walkFolder(walk, local, path, entry.names);
  else if (entry.kind === 'file') addFile(walk, path, entry.bytes, entry.executable);
  else if (entry.kind === 'link') addLink(walk, path, entry.target);
  else
    fail(
      walk,
      entry.kind === 'unavailable' ? entry.reason : `"${local}" is neither a file, a directory nor a link`,
    );
}

function addFile(walk: Walk, path: string, bytes: Uint8Array, executable: boolean): void {
  const {nodes, context, tree} = walk;
  const existing = nodes.files.get(path);
  const written = (existing?.contents?.source ?? '') !== '';
  if (written || nodes.links.has(path) || nodes.directories.has(path)) return alreadyWritten(walk, path);
  const file: File = {
    ...(existing ?? {path}),
    contents: packed(existing?.contents ?? {}, bytes, context.gzip),
    mode: existing?.mode ?? (executable ? 0o755 : 0o644),
  };
  if (existing === undefined) context.marks.setSelf(file, context.marks.at(tree, 'local'));
  else context.marks.carry(existing, file);
  nodes.files.set(path, file);
}

function addLink(walk: Walk, path: string, target: string): void {
  const {nodes, context, tree} = walk;
  const existing = nodes.links.get(path);
  const written = (existing?.target ?? '') !== '';
  if (written || nodes.files.has(path) || nodes.directories.has(path)) return alreadyWritten(walk, path);
  const link: Link = {...(existing ?? {path}), target};
  if (existing === undefined) context.marks.setSelf(link, context.marks.at(tree, 'local'));
  else context.marks.carry(existing, link);
  nodes.links.set(path, link);
}

function alreadyWritten(walk: Walk, path: string): void {
  fail(walk, `"${path}" of the tree is already written by this config`);
}

function fail(walk: Walk, message: string): void {
  errorAt(walk.context, walk.tree, 'local', message);
}
