/** `hawser image diff`: what changed from one image to another. */
import {join} from 'node:path';
import {readFile} from 'node:fs/promises';
import type {Command} from '../../services/common/command.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {
  diffManifests,
  diffPackages,
  renderManifestDiff,
  renderPackageDiff,
  type PackageEntry,
} from '../contents/diff.ts';
import {megabytes} from '../contents/sizes.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {parsePe} from '../../services/common/formats/pe.ts';
import {readUki} from '../../services/common/formats/uki.ts';
import {artefactPath, imagePath, openImage, readLock, readSizes, type Image} from '../images.ts';
import {diffLocks, renderChanges} from '../packages/lock.ts';
import {updateCost} from '../update-cost.ts';
import {outputFlag} from './flags.ts';
import {printResult} from './output.ts';

export const diffCommand: Command = {
  name: 'image diff',
  summary:
    'show what changed between two images: packages, sizes, kernel, UKI, and what an update has to fetch',
  usage: 'OLD NEW',
  arguments: {min: 2, max: 2},
  flags: [outputFlag],
  run: async (context, input) => {
    const images = join(resolvePaths(context.env).home, 'images');
    const [before, after] = [
      await openImage(imagePath(images, context.cwd, input.args[0])),
      await openImage(imagePath(images, context.cwd, input.args[1])),
    ];
    const manifest = diffManifests(before.manifest, after.manifest);
    const packages = diffPackages(await listPackages(before), await listPackages(after));
    const npm = diffLocks(await readLock(before), await readLock(after)).filter(
      ({set}) => set !== 'image' && set !== 'kernel',
    );
    const uki = await diffSections(before, after);
    const update = await compareTrees(before, after);
    printResult(context, input, {manifest, packages, others: npm, uki, update}, () => [
      ...renderManifestDiff(manifest),
      ...uki.map(
        one =>
          `UKI section ${one.name}: ${one.before ?? 0} -> ${one.after ?? 0} bytes${one.before === one.after ? ', other content' : ''}`,
      ),
      ...renderPackageDiff(packages),
      ...renderChanges(npm),
      `update: ${update.unknown} of ${update.blocks} blocks of /usr are new, ${megabytes(update.bytes)} uncompressed`,
    ]);
    return 0;
  },
};

async function listPackages(image: Image): Promise<PackageEntry[]> {
  const sizes = new Map((await readSizes(image)).map(({name, size}) => [name, size]));
  const lock = await readLock(image);
  return [...lock.image, ...lock.kernel].map(({name, version}) => ({
    name,
    version,
    size: sizes.get(name) ?? 0,
  }));
}

interface SectionChange {
  readonly name: string;
  /** Bytes; undefined where there is no such section. */
  readonly before: number | undefined;
  readonly after: number | undefined;
}

async function diffSections(before: Image, after: Image): Promise<SectionChange[]> {
  const sections = async (image: Image) =>
    readUki(parsePe(await readFile(await artefactPath(image, 'uki')))).base;
  const [old, fresh] = [await sections(before), await sections(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])].flatMap((name): SectionChange[] => {
    const [a, b] = [old.get(name), fresh.get(name)];
    if (a !== undefined && b !== undefined && Buffer.from(a).equals(b)) return [];
    return [{name, before: a?.length, after: b?.length}];
  });
}

async function compareTrees(before: Image, after: Image) {
  await using old = await openFileSource(await artefactPath(before, 'tree'));
  await using fresh = await openFileSource(await artefactPath(after, 'tree'));
  return await updateCost(old, fresh);
}
