/** Which kernel modules the image carries: the chosen ones and what they depend on. Pure. */
import {ImageError} from '../errors.ts';

/** `modules.dep` of depmod: module path -> paths that it needs, all relative to lib/modules/VERSION. */
export function parseModulesDep(text: string): Map<string, string[]> {
  const entries = text.split('\n').flatMap(line => {
    const [path, needs] = line.split(':');
    if (path === undefined || path === '' || needs === undefined) return [];
    return [[path, needs.trim() === '' ? [] : needs.trim().split(/\s+/)] as const];
  });
  return new Map(entries);
}

/** Lines of modules.list without comments. */
export function parseModuleList(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.replace(/#.*/, '').trim())
    .filter(line => line !== '');
}

/**
 * Paths of the modules named by `wanted`: `folder/` takes all below it, `folder/name` the one module
 * of that name below it, a leading
 * `!` leaves them out again (unless another module needs them). Throws {@link ImageError} `recipe-invalid` when an
 * entry matches nothing, so that a kernel that renames a module is noticed.
 */
export function selectModules(
  wanted: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
  builtin: readonly string[],
): Set<string> {
  const paths = [...dependencies.keys()];
  const selected = new Set<string>();
  for (const entry of wanted.filter(line => !line.startsWith('!'))) {
    const found = paths.filter(path => matches(path, entry));
    const known = found.length > 0 || builtin.some(path => matches(path, entry));
    if (!known) throw unknownModule(entry);
    for (const path of found) selected.add(path);
  }
  const without = wanted.filter(line => line.startsWith('!')).map(line => line.slice(1).trim());
  for (const entry of without) {
    if (!paths.some(path => matches(path, entry))) throw unknownModule(`!${entry}`);
  }
  const kept = [...selected].filter(path => !without.some(entry => matches(path, entry)));
  return withDependencies(kept, dependencies);
}

/** Adds what the selected modules need, and what that needs. */
export function withDependencies(
  selected: Iterable<string>,
  dependencies: ReadonlyMap<string, readonly string[]>,
): Set<string> {
  const closure = new Set<string>();
  const queue = [...selected];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (closure.has(path)) continue;
    closure.add(path);
    queue.push(...(dependencies.get(path) ?? []));
  }
  return closure;
}

function unknownModule(entry: string): ImageError {
  return new ImageError('recipe-invalid', `modules.list: the kernel has no ${entry}`, {
    remedy: 'correct or remove the line',
  });
}

function matches(path: string, entry: string): boolean {
  const inKernel = path.replace(/^kernel\//, '');
  if (entry.endsWith('/')) return inKernel.startsWith(entry);
  return (
    moduleName(inKernel) === moduleName(entry) &&
    inKernel.startsWith(entry.slice(0, entry.lastIndexOf('/') + 1))
  );
}

/** `drivers/net/xen-netfront.ko.xz` -> `xen_netfront`: dashes and underscores are the same in module names. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}
