/** What a new machine is made of, found in the cloud: image, flavor, networks. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {Paths} from '../../../services/common/paths.ts';
import {listPublished} from '../../../services/common/published-images.ts';
import {MachineError} from '../../errors.ts';
import {listFlavors} from './client/compute.ts';
import type {Flavor} from './client/compute.ts';
import {hasCode} from './client/errors.ts';
import {getImage, listImages} from './client/images.ts';
import type {GlanceImage} from './client/images.ts';
import {listNetworks} from './client/network.ts';
import type {Network} from './client/network.ts';
import type {Session} from './client/session.ts';
import {placeOf} from './connect.ts';
import type {OpenStackSettings, Reference} from './settings.ts';

export interface Ingredients {
  readonly image: GlanceImage;
  readonly flavor: Flavor;
  readonly network: Network;
  /** The external network of floating addresses. */
  readonly pool?: Network;
}

/** Throws MachineError `bad-setting` for what is not there, is there twice, or does not fit. */
export async function lookUp(
  session: Session,
  settings: OpenStackSettings,
  paths: Paths,
): Promise<Ingredients> {
  const [image, flavor, network, pool] = await Promise.all([
    findImage(session, settings, paths),
    findFlavor(session, settings.flavor),
    findNetwork(session, settings.network),
    settings.floatingPool === undefined ? undefined : findPool(session, settings.floatingPool),
  ]);
  checkFit(image, flavor, settings);
  return {image, flavor, network, ...(pool === undefined ? {} : {pool})};
}

async function findImage(
  session: Session,
  {image, builtImage}: OpenStackSettings,
  paths: Paths,
): Promise<GlanceImage> {
  if (image === undefined) return findPublished(session, builtImage, paths);
  if ('id' in image) return imageById(session, image.id);
  const found = await listImages(session, {name: image.name, status: 'active'});
  return only(found, 'image', image.name, 'openstack image list shows those there are');
}

async function findPublished(
  session: Session,
  builtImage: string | undefined,
  paths: Paths,
): Promise<GlanceImage> {
  const rootHash = builtImage === undefined ? undefined : await rootHashOf(builtImage);
  const published = (await listPublished(paths.home, 'openstack', placeOf(session))).find(
    candidate => rootHash === undefined || candidate.rootHash === rootHash,
  );
  if (published !== undefined) return imageById(session, published.reference);
  throw new MachineError('bad-setting', 'no image of Hawser was published to this project and region', {
    remedy: 'run hawser image publish --to openstack, or name an image with --openstack-image-name',
  });
}

async function rootHashOf(folder: string): Promise<string> {
  const path = join(folder, 'manifest.json');
  try {
    return parseJson(ImageManifest, await readFile(path, 'utf8'), path).rootHash;
  } catch (error) {
    throw new MachineError('bad-setting', `${folder} is not a built image`, {
      remedy: 'name a folder of hawser image ls, or leave --image out for what was published last',
      cause: error,
    });
  }
}

async function imageById(session: Session, id: string): Promise<GlanceImage> {
  let image: GlanceImage;
  try {
    image = await getImage(session, id);
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
    throw new MachineError('bad-setting', `there is no image ${id} in Glance`, {
      remedy: 'run hawser image publish --to openstack again, or name another image',
      cause: error,
    });
  }
  if (image.status === 'active') return image;
  throw new MachineError('bad-setting', `image ${id} is ${image.status}, not active`, {
    remedy: 'wait until it is, or name another',
  });
}

async function findFlavor(session: Session, wanted: Reference | undefined): Promise<Flavor> {
  const flavors = await listFlavors(session);
  if (wanted === undefined) {
    throw new MachineError('bad-setting', 'the size of the machine is not given', {
      remedy: `give --openstack-flavor-name or OS_FLAVOR_NAME: there are ${names(flavors)}`,
    });
  }
  const found = flavors.filter(flavor =>
    'id' in wanted ? flavor.id === wanted.id : flavor.name === wanted.name,
  );
  return only(found, 'flavor', text(wanted), `there are ${names(flavors)}`);
}

async function findNetwork(session: Session, wanted: Reference | undefined): Promise<Network> {
  if (wanted !== undefined) {
    const query: Readonly<Record<string, string>> = 'id' in wanted ? {id: wanted.id} : {name: wanted.name};
    const found = await listNetworks(session, query);
    return only(found, 'network', text(wanted), 'openstack network list shows those there are');
  }
  const networks = await listNetworks(session, {'router:external': 'false'});
  const [first, ...others] = networks;
  if (first !== undefined && others.length === 0) return first;
  throw new MachineError(
    'bad-setting',
    first === undefined ? 'the project has no network' : 'the project has several networks',
    {
      remedy:
        first === undefined
          ? 'make one (openstack network create, subnet create)'
          : `give --openstack-net-name or --openstack-net-id: there are ${names(networks)}`,
    },
  );
}

async function findPool(session: Session, wanted: string): Promise<Network> {
  const networks = await listNetworks(session, {'router:external': 'true'});
  const found = networks.filter(network => network.id === wanted || network.name === wanted);
  return only(found, 'external network', wanted, `there are ${names(networks)}`);
}

function checkFit(image: GlanceImage, flavor: Flavor, {volume}: OpenStackSettings): void {
  const memory = image.min_ram ?? 0;
  if (flavor.ram < memory) {
    throw new MachineError(
      'bad-setting',
      `flavor ${flavor.name} has ${flavor.ram} MiB of memory, the image needs ${memory}`,
      {
        remedy: 'choose a larger flavor',
      },
    );
  }
  // A disk of 0 is one as large as the image.
  const disk = volume?.gibibytes ?? (flavor.disk === 0 ? Infinity : flavor.disk);
  const needed = image.min_disk ?? 0;
  if (disk < needed) {
    throw new MachineError('bad-setting', `a disk of ${disk} GiB is too small, the image needs ${needed}`, {
      remedy: 'choose a larger flavor, or boot from a volume with --openstack-boot-volume-size',
    });
  }
}

function only<Item extends {readonly id: string}>(
  found: readonly Item[],
  what: string,
  wanted: string,
  remedy: string,
): Item {
  const [first, ...others] = found;
  if (first === undefined) throw new MachineError('bad-setting', `there is no ${what} "${wanted}"`, {remedy});
  if (others.length === 0) return first;
  throw new MachineError('bad-setting', `there are ${found.length} of the ${what} "${wanted}"`, {
    remedy: `give the id of one: ${found.map(item => item.id).join(', ')}`,
  });
}

function text(reference: Reference): string {
  return 'id' in reference ? reference.id : reference.name;
}

const MOST_NAMES = 12;

function names(items: ReadonlyArray<{readonly name: string}>): string {
  const shown = items.slice(0, MOST_NAMES).map(item => item.name);
  return shown.length === 0 ? 'none' : `${shown.join(', ')}${items.length > MOST_NAMES ? ', …' : ''}`;
}
