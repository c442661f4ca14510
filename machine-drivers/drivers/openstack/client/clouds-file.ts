/** clouds.yaml, with secure.yaml and clouds-public.yaml from the same folder, read as openstacksdk reads them. */
import {readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Type} from 'typebox';
import {systemErrorCode} from '../../../../services/common/errors.ts';
import {parseValue} from '../../../../services/common/parse.ts';
import type {CloudOptions, Environment} from './cloud-config.ts';
import {OpenStackError} from './errors.ts';

const Entry = Type.Record(Type.String(), Type.Unknown());
type Entry = Readonly<Record<string, unknown>>;
const Clouds = Type.Object({clouds: Type.Optional(Type.Record(Type.String(), Entry))});
const PublicClouds = Type.Object({'public-clouds': Type.Optional(Type.Record(Type.String(), Entry))});

interface CloudsFile {
  readonly path: string;
  readonly clouds: Readonly<Record<string, Entry>>;
}

/** The names of the clouds that the operator has; none without a file. */
export async function cloudNames(env: Environment, cwd: string): Promise<readonly string[]> {
  return Object.keys((await findFile(env, cwd))?.clouds ?? {});
}

/** The entry `name` as flat options. Throws OpenStackError `bad-cloud-config`. */
export async function readCloud(name: string, env: Environment, cwd: string): Promise<CloudOptions> {
  const file = await findFile(env, cwd);
  const entry = file?.clouds[name];
  if (file === undefined || entry === undefined) {
    const known = Object.keys(file?.clouds ?? {});
    throw new OpenStackError(
      'bad-cloud-config',
      file === undefined ? `there is no clouds.yaml` : `${file.path} has no cloud "${name}"`,
      {
        remedy:
          known.length === 0
            ? 'set OS_CLIENT_CONFIG_FILE to it, or write ~/.config/openstack/clouds.yaml'
            : `it has ${known.join(', ')}`,
      },
    );
  }
  const folder = dirname(file.path);
  const secure = await readYaml(join(folder, 'secure.yaml'), Clouds);
  const vendor = await vendorEntry(entry['profile'], folder);
  return flatten([vendor, entry, secure?.clouds?.[name] ?? {}], env['HOME']);
}

/** The first file counts; there is no merging of several. */
async function findFile(env: Environment, cwd: string): Promise<CloudsFile | undefined> {
  const named = env['OS_CLIENT_CONFIG_FILE'];
  const home = env['HOME'];
  const config = env['XDG_CONFIG_HOME'] ?? (home === undefined ? undefined : join(home, '.config'));
  const folders = [cwd, ...(config === undefined ? [] : [join(config, 'openstack')]), '/etc/openstack'];
  const paths =
    named === undefined || named === ''
      ? folders.flatMap(folder => [join(folder, 'clouds.yaml'), join(folder, 'clouds.yml')])
      : [named];
  for (const path of paths) {
    const file = await readYaml(path, Clouds);
    if (file !== undefined) return {path, clouds: file.clouds ?? {}};
  }
  return undefined;
}

async function vendorEntry(profile: unknown, folder: string): Promise<Entry> {
  if (typeof profile !== 'string') return {};
  const path = join(folder, 'clouds-public.yaml');
  const found = (await readYaml(path, PublicClouds))?.['public-clouds']?.[profile];
  if (found !== undefined) return found;
  throw new OpenStackError('bad-cloud-config', `the profile "${profile}" is not in ${path}`, {
    remedy: 'write auth_url and what else the provider names into the cloud itself',
  });
}

async function readYaml<Schema extends typeof Clouds | typeof PublicClouds>(path: string, schema: Schema) {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw new OpenStackError('bad-cloud-config', `${path} cannot be read`, {
      cause: error,
      remedy: 'check who may read it',
    });
  }
  // Only commands that enter a cloud need it.
  const {parse} = await import('yaml');
  try {
    return parseValue(schema, parse(text) ?? {}, path);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    // The parser's message may show the line, and with it a password.
    throw new OpenStackError('bad-cloud-config', `${path} is not valid YAML of clouds`, {
      remedy: why.startsWith(path) ? why : 'mend it',
    });
  }
}

/** Later layers win, key by key, also within `auth`. */
function flatten(layers: readonly Entry[], home: string | undefined): CloudOptions {
  const options: Record<string, string> = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (key === 'auth') Object.assign(options, texts(value));
      else if (key === 'regions') options['region_name'] ??= onlyRegion(value);
      else Object.assign(options, texts({[key]: value}));
    }
  }
  if (options['region_name'] === '') delete options['region_name'];
  for (const key of ['cacert', 'cert', 'key']) {
    const path = options[key];
    if (path?.startsWith('~/') === true && home !== undefined) options[key] = join(home, path.slice(2));
  }
  return options;
}

function texts(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  const plain = Object.entries(value).filter(([, text]) =>
    ['string', 'number', 'boolean'].includes(typeof text),
  );
  return Object.fromEntries(plain.map(([key, text]) => [key, String(text)]));
}

function onlyRegion(value: unknown): string {
  if (!Array.isArray(value) || value.length !== 1) return '';
  const [region] = value as readonly unknown[];
  if (typeof region === 'string') return region;
  return texts(region)['name'] ?? '';
}
