/** A bench for system extensions: home-made packages in a store, and the context of a build around them. */
import {copyFile, mkdir, mkdtemp, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {openCache} from '../../../image-build/cache.ts';
import type {LockedPackage} from '../../../image-build/packages/lock.ts';
import {openStore} from '../../../image-build/packages/store.ts';
import {loadRecipe} from '../../../image-build/recipe/load.ts';
import type {Sysext} from '../../../image-build/recipe/recipe.ts';
import type {BuildContext} from '../../../image-build/steps/context.ts';
import {exec} from '../../../services/common/exec.ts';
import {sha256File} from '../../../services/common/hash.ts';
import {silentProgress} from '../../../services/common/progress.ts';

const TIMEOUT_MS = 60_000;
const recipePath = new URL('../../../image-build/recipe.yaml', import.meta.url).pathname;

export interface Bench {
  readonly folder: string;
  /** A finished /usr with `bin/bash` and `lib/os-release`. */
  readonly usr: string;
  readonly context: BuildContext;
}

/** Packages as `name -> path -> content`. */
export interface Contents {
  readonly sysexts: readonly Sysext[];
  readonly packages: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Of the recipe's folder. */
  readonly files?: Readonly<Record<string, string>>;
  readonly toolsRoot?: string;
}

export async function prepareBench(t: ExecutionContext, contents: Contents): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-sysext-'));
  t.teardown(() => rm(folder, {recursive: true, force: true}));
  const store = openStore(join(folder, 'store'));
  const usr = join(folder, 'work', 'usr');
  await fill(usr, {'bin/bash': 'bash', 'lib/os-release': 'ID=hawser\n'});
  await fill(join(folder, 'recipe'), contents.files ?? {});
  const locked = new Map<string, LockedPackage>();
  for (const [name, files] of Object.entries(contents.packages)) {
    const deb = join(folder, `${name}.deb`);
    await makeDeb(deb, name, files);
    const sha256 = await sha256File(deb);
    await mkdir(dirname(store.path(sha256)), {recursive: true});
    await copyFile(deb, store.path(sha256));
    const {size} = await stat(deb);
    const architecture = 'all';
    locked.set(name, {name, version: '1', architecture, archive: 'debian', path: 'pool/x.deb', sha256, size});
  }
  const recipe = await loadRecipe(recipePath);
  const ofSysext = ({packages = []}: Sysext) =>
    packages.flatMap(name => {
      const entry = locked.get(name);
      return entry === undefined ? [] : [entry];
    });
  return {
    folder,
    usr,
    context: {
      recipe: {...recipe, sysexts: [...contents.sysexts]},
      recipeFolder: join(folder, 'recipe'),
      lock: {
        schema: 1,
        request: '',
        epoch: 1_700_000_000,
        seed: '12345678-1234-8234-9234-123456789abc',
        tools: [],
        image: [],
        kernel: [],
        npm: [],
        sysexts: Object.fromEntries(contents.sysexts.map(one => [one.name, ofSysext(one)])),
      },
      cache: openCache(join(folder, 'cache')),
      store,
      toolsRoot: contents.toolsRoot ?? '/nowhere',
      imageRoot: '/nowhere',
      progress: silentProgress,
      signal: new AbortController().signal,
    },
  };
}

async function makeDeb(target: string, name: string, files: Readonly<Record<string, string>>): Promise<void> {
  const work = `${target}.d`;
  const control = [
    'Version: 1',
    'Architecture: all',
    'Maintainer: Nobody <nobody@example.org>',
    'Description: a test',
  ];
  await fill(work, {'DEBIAN/control': `${[`Package: ${name}`, ...control].join('\n')}\n`, ...files});
  await exec(['dpkg-deb', '--root-owner-group', '-Znone', '-b', work, target], {timeoutMs: TIMEOUT_MS});
}

async function fill(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), {recursive: true});
    await writeFile(join(folder, path), content);
  }
}
