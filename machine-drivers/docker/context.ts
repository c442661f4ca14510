/**
 * A docker context for each machine, so that `docker --context web ps` works in any shell. The files are the docker
 * command's own (cli/context/store): `contexts/meta/SHA256(name)/meta.json` and `contexts/tls/SHA256(name)/docker/`.
 */
import {copyFile, mkdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {Type} from 'typebox';
import {systemErrorCode} from '../../services/common/errors.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {sha256} from '../../services/common/hash.ts';
import {parseJson} from '../../services/common/parse.ts';
import {certificateFiles} from './api.ts';

export interface ContextWish {
  readonly name: string;
  readonly uuid: string;
  /** `tcp://…` */
  readonly url: string;
  /** Holds `ca.pem`, `cert.pem` and `key.pem`. */
  readonly folder: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const Meta = Type.Object({
  Metadata: Type.Optional(Type.Object({HawserMachine: Type.Optional(Type.String())})),
});

/** False when the name is taken by a context that is not this machine's: that one is left alone. */
export async function writeDockerContext(env: Environment, wish: ContextWish): Promise<boolean> {
  const places = placesOf(env, wish.name);
  if (places === undefined) return false;
  const owner = await ownerOf(places.metaFile);
  if (owner !== undefined && owner !== wish.uuid) return false;
  await mkdir(places.tls, {recursive: true, mode: 0o700});
  for (const file of Object.values(certificateFiles))
    await copyFile(join(wish.folder, file), join(places.tls, file));
  await mkdir(places.meta, {recursive: true, mode: 0o755});
  const meta = {
    Name: wish.name,
    Metadata: {Description: `Hawser machine ${wish.name}`, HawserMachine: wish.uuid},
    Endpoints: {docker: {Host: wish.url, SkipTLSVerify: false}},
  };
  // Last: the context exists from here on.
  await writeFileAtomic(places.metaFile, JSON.stringify(meta), 0o644);
  return true;
}

/** Takes the machine's context away; another's of the same name stays. */
export async function removeDockerContext(
  env: Environment,
  machine: {name: string; uuid: string},
): Promise<void> {
  const places = placesOf(env, machine.name);
  if (places === undefined || (await ownerOf(places.metaFile)) !== machine.uuid) return;
  await rm(places.meta, {recursive: true, force: true});
  await rm(places.tlsRoot, {recursive: true, force: true});
}

function placesOf(env: Environment, name: string) {
  const home = env['HOME'];
  const config = env['DOCKER_CONFIG'] ?? (home === undefined ? undefined : join(home, '.docker'));
  if (config === undefined) return undefined;
  const id = sha256(name);
  const meta = join(config, 'contexts', 'meta', id);
  const tlsRoot = join(config, 'contexts', 'tls', id);
  return {meta, metaFile: join(meta, 'meta.json'), tlsRoot, tls: join(tlsRoot, 'docker')};
}

/** The machine whose context it is; `''` for somebody else's; undefined when there is none. */
async function ownerOf(metaFile: string): Promise<string | undefined> {
  try {
    return parseJson(Meta, await readFile(metaFile, 'utf8'), metaFile).Metadata?.HawserMachine ?? '';
  } catch (error) {
    return systemErrorCode(error) === 'ENOENT' ? undefined : '';
  }
}
