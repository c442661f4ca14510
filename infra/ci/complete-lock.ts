/**
 * `node infra/ci/complete-lock.ts` after an `npm install` that changed package-lock.json: npm 11.16 and newer leave
 * out platform packages that the registry at hand does not offer, and their `npm ci` then refuses the lock
 * (npm/cli#9846). Adds them by name, version and platform; none of them is ever installed on another platform.
 */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {parseJson} from '../../services/common/parse.ts';

const Entry = Type.Object({
  dev: Type.Optional(Type.Boolean()),
  optionalDependencies: Type.Optional(Type.Record(Type.String(), Type.String())),
});
const LockFile = Type.Object({packages: Type.Record(Type.String(), Entry)});

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors: Readonly<Record<string, string>> = {
  arm64: 'arm64',
  arm: 'arm',
  x64: 'x64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
};

/** Entries that are missing: path in the lock -> entry. Pure. */
export function missingPlatforms(lock: Static<typeof LockFile>): Record<string, object> {
  const missing: Record<string, object> = {};
  for (const entry of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (path in lock.packages) continue;
      missing[path] = {
        version,
        ...platform(name),
        ...(entry.dev === true ? {dev: true} : {}),
        optional: true,
      };
    }
  }
  return missing;
}

/** `@oxlint/binding-linux-x64-musl` says by its name where it runs. */
function platform(name: string): object {
  const words = name.slice(name.indexOf('/') + 1).split('-');
  const os = systems.filter(system => words.includes(system));
  const cpu = words.flatMap(word => processors[word] ?? []);
  if (os.length === 0 || cpu.length === 0)
    throw new Error(`${name} is missing from the lock, and its name tells no platform`);
  const musl = words.some(word => word.startsWith('musl'));
  return {cpu, os, ...(os.includes('linux') ? {libc: [musl ? 'musl' : 'glibc']} : {})};
}

if (import.meta.main) {
  const path = join(import.meta.dirname, '..', '..', 'package-lock.json');
  const text = await readFile(path, 'utf8');
  const missing = missingPlatforms(parseJson(LockFile, text, path));
  const whole = parseJson(Type.Object({packages: Type.Record(Type.String(), Type.Unknown())}), text, path);
  const packages = Object.fromEntries(
    Object.entries({...whole.packages, ...missing}).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  await writeFileAtomic(path, `${JSON.stringify({...whole, packages}, undefined, 2)}\n`, 0o644);
  process.stdout.write(`added ${Object.keys(missing).length} platform packages\n`);
}
