/** Everything that decides the bytes of an image, as named hashes: so that a difference can be named too. */
import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import {sha256} from '../services/common/hash.ts';
import {ImageError} from './errors.ts';
import {serializeLock, type Lock} from './packages/lock.ts';
import type {Recipe} from './recipe/recipe.ts';
import {signingIdentity, type Signing} from './signing.ts';
import {hashFolder} from './steps/folder-hash.ts';

/** Stored as `inputs.json` in the image: name of an input -> SHA-256, hex. */
export const Inputs = Type.Record(Type.String(), Type.String({pattern: '^[0-9a-f]{64}$'}));
export type Inputs = Static<typeof Inputs>;

export interface InputsRequest {
  readonly recipe: Recipe;
  readonly recipeFolder: string;
  /** The checkout. */
  readonly sources: string;
  readonly lock: Lock;
  readonly version: string;
  readonly signing: Signing;
  /** Whether the compressed disk is made. */
  readonly release: boolean;
}

export async function readInputs(request: InputsRequest): Promise<Inputs> {
  const {recipe, recipeFolder, sources} = request;
  const inputs: Inputs = {
    recipe: sha256(JSON.stringify(recipe)),
    lock: sha256(serializeLock(request.lock)),
    version: sha256(request.version),
    'image-build': await hashFolder(join(sources, 'image-build')),
    'services/common': await hashFolder(join(sources, 'services', 'common')),
    // The agents' bundles hold npm packages of the checkout.
    'package-lock.json': sha256(await readFile(join(sources, 'package-lock.json'))),
  };
  if (recipeFolder !== join(sources, 'image-build')) inputs['recipe folder'] = await hashFolder(recipeFolder);
  const placed = [
    ...recipe.provision.steps.flatMap(step => (step.type === 'files' ? [step.source] : [])),
    ...(recipe.sysexts ?? []).flatMap(({files = []}) => files.map(({source}) => source)),
  ];
  for (const source of placed)
    if (source.startsWith('..')) inputs[source] = await hashTree(join(recipeFolder, source));
  for (const name of recipe.provision.agents)
    inputs[`services/${name}`] = await hashAgent(join(sources, 'services', name), name);
  inputs['signatures'] = sha256(await signingIdentity(request.signing));
  inputs['release'] = sha256(String(request.release));
  return inputs;
}

/** A source that is not there is the provisioner's to complain about, with the line of the recipe that names it. */
async function hashTree(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return sha256('absent');
  return found.isDirectory() ? hashFolder(path) : sha256(await readFile(path));
}

async function hashAgent(folder: string, name: string): Promise<string> {
  if ((await stat(folder).catch(() => undefined)) === undefined) {
    throw new ImageError('recipe-invalid', `provision.agents: there is no ${folder}`, {
      remedy: `correct the name ${name} in the recipe`,
    });
  }
  return hashFolder(folder);
}

/** One hash for all; independent of the order of the names. */
export function inputsDigest(inputs: Inputs): string {
  return sha256(JSON.stringify(Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Names of the inputs that differ, sorted; what only one side has counts. */
export function differingInputs(before: Inputs, after: Inputs): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter(name => before[name] !== after[name]).sort();
}
