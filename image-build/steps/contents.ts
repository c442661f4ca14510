/** What is in the image, written down beside it: two bills of materials, and sizes by package. */
import {lstat, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {sha256File} from '../../services/common/hash.ts';
import {writeCycloneDx} from '../contents/cyclonedx.ts';
import {parseDeb822} from '../contents/deb822.ts';
import type {DescribedImage} from '../contents/document.ts';
import {buildInventory, type OwnPart} from '../contents/inventory.ts';
import {parseFileList, sizesByPackage, type PackageSize, type TreeFile} from '../contents/sizes.ts';
import {writeSpdx} from '../contents/spdx.ts';
import type {BuildContext} from './context.ts';
import type {BuiltSysext} from './sysexts.ts';
import {walk} from './walk.ts';

export interface BillInput {
  readonly version: string;
  readonly rootHash: string;
  /** Agent name -> bundle. */
  readonly agents: Readonly<Record<string, string>>;
  readonly sysexts: readonly BuiltSysext[];
}

/** Writes the SPDX and the CycloneDX document. */
export async function writeBills(
  context: BuildContext,
  input: BillInput,
  spdx: string,
  cyclonedx: string,
): Promise<void> {
  const {lock, imageRoot, recipe} = context;
  const own: OwnPart[] = [];
  for (const [name, bundle] of Object.entries(input.agents)) {
    own.push({name, version: input.version, sha256: await sha256File(bundle), license: 'Apache-2.0'});
  }
  for (const {name, image} of input.sysexts) {
    const debs = (lock.sysexts?.[name] ?? []).map(entry => entry.name);
    own.push({name: `sysext-${name}`, version: input.version, sha256: await sha256File(image), debs});
  }
  const debs = unique([...lock.image, ...lock.kernel, ...Object.values(lock.sysexts ?? {}).flat()]);
  const image: DescribedImage = {
    name: recipe.name,
    version: input.version,
    epoch: lock.epoch,
    rootHash: input.rootHash,
    components: buildInventory({
      distribution: recipe.sources.debian.suites[0] ?? 'trixie',
      debs,
      status: parseDeb822(await readFile(join(imageRoot, 'var/lib/dpkg/status'), 'utf8')),
      npm: lock.npm,
      own,
      copyright: new Map([
        ...input.sysexts.flatMap(({tree}) => [...tree.copyright]),
        ...(await copyrights(
          imageRoot,
          debs.map(({name}) => name),
        )),
      ]),
    }),
  };
  await writeFile(spdx, writeSpdx(image, 'hawser-image-build'));
  await writeFile(cyclonedx, writeCycloneDx(image));
}

async function copyrights(root: string, names: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const name of names) {
    const text = await readFile(join(root, 'usr/share/doc', name, 'copyright'), 'utf8').catch(
      () => undefined,
    );
    if (text !== undefined) texts.set(name, text);
  }
  return texts;
}

function unique<Entry extends {readonly name: string}>(entries: readonly Entry[]): Entry[] {
  return [...new Map(entries.map(entry => [entry.name, entry])).values()];
}

/** Bytes by package of the finished tree `usr`, largest first. */
export async function measureTree(context: BuildContext, usr: string): Promise<PackageSize[]> {
  const tree: TreeFile[] = [];
  for (const name of await walk(usr)) {
    const info = await lstat(join(usr, name));
    if (info.isFile()) tree.push({path: `/usr/${name}`, size: info.size, inode: info.ino});
  }
  const lists = await packageFiles(context);
  const modules = tree.map(file => file.path).filter(path => path.startsWith('/usr/lib/modules/'));
  // The kernel is unpacked, not installed, so dpkg has no list of it.
  for (const {name} of context.lock.kernel) lists.set(name, modules);
  return sizesByPackage(tree, lists);
}

async function packageFiles(context: BuildContext): Promise<Map<string, string[]>> {
  const folder = join(context.imageRoot, 'var/lib/dpkg/info');
  const moved = new Map(
    Object.entries(context.recipe.build.move).map(([from, to]) => [`/${from}`, `/${to}`]),
  );
  const lists = new Map<string, string[]>();
  for (const entry of await readdir(folder)) {
    if (!entry.endsWith('.list')) continue;
    const paths = parseFileList(await readFile(join(folder, entry), 'utf8'));
    // Where the build put them: the image's /etc lies in /usr, and the recipe may move files.
    const placed = paths.map(
      path => moved.get(path) ?? (path.startsWith('/etc/') ? `/usr/share/hawser${path}` : path),
    );
    lists.set(entry.slice(0, -'.list'.length).replace(/:[a-z0-9]+$/, ''), placed);
  }
  return lists;
}
