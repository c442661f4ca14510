/** Recipes of releases that are no good, each broken in one place as a mistake would break it. */
import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isMap, isSeq, parseDocument, type Document} from 'yaml';

const root = join(import.meta.dirname, '..', '..');
const recipeFolder = join(root, 'image-build');
/** What a recipe needs beside it. */
const beside = ['files', 'initrd', 'modules.list'] as const;

export const badKinds = ['unhealthy', 'does-not-boot'] as const;
export type BadKind = (typeof badKinds)[number];

const brokenUnit = `[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd --host=fd:// --default-runtime=gone
`;

/**
 * Makes a folder with Hawser's recipe broken in one place; returns the recipe's path. `unhealthy`: the machine boots,
 * and Docker does not start, since it is told of a runtime that is not there. `does-not-boot`: the initrd has no
 * erofs, so it cannot mount `/usr`.
 */
export async function writeBadRecipe(kind: BadKind, folder: string): Promise<string> {
  await rm(folder, {recursive: true, force: true});
  // The recipe's paths lead out of its folder: ../services.
  const own = join(folder, 'image-build');
  await mkdir(own, {recursive: true});
  await symlink(join(root, 'services'), join(folder, 'services'));
  for (const name of beside) await symlink(join(recipeFolder, name), join(own, name));
  const document = parseDocument(await readFile(join(recipeFolder, 'recipe.yaml'), 'utf8'));
  if (kind === 'unhealthy') {
    const broken = join(own, 'broken/usr/lib/systemd/system/docker.service.d');
    await mkdir(broken, {recursive: true});
    await writeFile(join(broken, '90-runtime.conf'), brokenUnit);
    breakDocker(document);
  } else loseModule(document, 'erofs');
  const path = join(own, 'recipe.yaml');
  await writeFile(path, document.toString());
  return path;
}

function breakDocker(document: Document): void {
  const steps = document.getIn(['provision', 'steps'], true);
  if (!isSeq(steps)) throw new Error('the recipe has no provision.steps');
  steps.add(document.createNode({type: 'files', source: 'broken', destination: '/'}));
}

function loseModule(document: Document, module: string): void {
  const build = document.get('build', true);
  const modules: unknown = isMap(build) ? build.get('initrdModules', true) : undefined;
  if (!isSeq(modules)) throw new Error('the recipe has no build.initrdModules');
  const index = modules.toJSON().indexOf(module);
  if (index === -1) throw new Error(`build.initrdModules has no ${module}`);
  modules.delete(index);
}
