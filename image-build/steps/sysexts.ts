/** System extensions of the recipe, each as an image of its own that its root hash names. */
import {lutimes, mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Type} from 'typebox';
import {parseJson} from '../../services/common/parse.ts';
import {differingFiles} from '../comparison.ts';
import {ImageError} from '../errors.ts';
import {openFileSource} from '../../services/common/formats/file-source.ts';
import {readSysext} from '../formats/sysext.ts';
import {sysextSignature, type Signing} from '../signing.ts';
import {runTool, type BuildContext} from './context.ts';
import {buildSysextTree, checkClashes, type SysextTree} from './sysext-tree.ts';
import {walk} from './walk.ts';

export interface BuiltSysext {
  readonly name: string;
  readonly image: string;
  readonly rootHash: string;
  readonly tree: SysextTree;
}

export interface SysextInput {
  readonly version: string;
  readonly signing: Signing;
  /** The finished /usr of the image. */
  readonly usr: string;
  /** Folder of detached signatures that is being filled. */
  readonly signatures: string | undefined;
}

/** Builds all below `work`. Throws {@link ImageError} `recipe-invalid` for what an extension may not be. */
export async function buildSysexts(
  context: BuildContext,
  input: SysextInput,
  work: string,
): Promise<BuiltSysext[]> {
  const wanted = context.recipe.sysexts ?? [];
  const folder = join(work, 'sysexts');
  await mkdir(folder, {recursive: true});
  const trees: {name: string; tree: SysextTree}[] = [];
  for (const sysext of wanted) {
    const root = join(folder, sysext.name, 'root');
    trees.push({name: sysext.name, tree: await buildSysextTree(context, sysext, input.version, root)});
  }
  await checkClashes(
    input.usr,
    trees.map(({name, tree}) => ({name, files: tree.files})),
  );
  const built: BuiltSysext[] = [];
  for (const {name, tree} of trees) {
    const place = join(folder, name);
    built.push({name, tree, ...(await packImage(context, input, name, place))});
  }
  return built;
}

/** Packs `place/root`; what comes out is read again, down to its files. */
async function packImage(
  context: BuildContext,
  {signing, signatures}: SysextInput,
  name: string,
  place: string,
): Promise<{image: string; rootHash: string}> {
  const {epoch, seed} = context.lock;
  const root = join(place, 'root');
  for (const entry of (await walk(root)).toReversed()) await lutimes(join(root, entry), epoch, epoch);
  const definitions = join(place, 'repart.d');
  await mkdir(definitions);
  const verity = (kind: string) => [`Verity=${kind}`, 'VerityMatchKey=root'];
  const partitions: Record<string, readonly string[]> = {
    '10-root': [
      'Type=root',
      'Format=erofs',
      'CopyFiles=/build/root/usr:/usr',
      'Minimize=best',
      ...verity('data'),
    ],
    '20-tree': ['Type=root-verity', 'Minimize=best', ...verity('hash')],
  };
  if (signing.kind === 'keys') partitions['30-signature'] = ['Type=root-verity-sig', ...verity('signature')];
  if (signing.kind === 'attach') {
    const signature = await readPublished(signing.folder, name);
    await writeFile(join(place, 'signature'), signature);
    const size = [`SizeMinBytes=${signature.length}`, `SizeMaxBytes=${signature.length}`];
    partitions['30-signature'] = ['Type=root-verity-sig', 'CopyBlocks=/build/signature', ...size];
  }
  for (const [file, lines] of Object.entries(partitions))
    await writeFile(join(definitions, `${file}.conf`), ['[Partition]', ...lines, ''].join('\n'));
  const keys = signing.kind === 'keys' ? ['--private-key=/keys/db.key', '--certificate=/keys/db.crt'] : [];
  const report = await runTool(
    context,
    [
      'systemd-repart',
      '--offline=yes',
      '--empty=create',
      '--size=auto',
      `--seed=${seed}`,
      '--definitions=/build/repart.d',
      '--dry-run=no',
      '--json=short',
      ...keys,
      '/build/image.raw',
    ],
    {[place]: '/build', ...(signing.kind === 'keys' ? {[signing.folder]: '/keys'} : {})},
  );
  const rootHash = rootHashOf(report);
  const image = join(place, 'image.raw');
  await using source = await openFileSource(image);
  const {signature, fileSystemOffset} = await readSysext(source, rootHash);
  if (signatures !== undefined && signature !== undefined) {
    const detached = sysextSignature(signatures, name);
    await mkdir(dirname(detached), {recursive: true});
    await writeFile(detached, signature);
  }
  await compareContent(context, name, place, fileSystemOffset);
  return {image, rootHash};
}

async function compareContent(
  context: BuildContext,
  name: string,
  place: string,
  offset: number,
): Promise<void> {
  const argv = [
    'fsck.erofs',
    `--offset=${offset}`,
    '--extract=/build/read',
    '--preserve',
    '/build/image.raw',
  ];
  await runTool(context, argv, {[place]: '/build'});
  const [first] = await differingFiles(join(place, 'root'), join(place, 'read'));
  if (first === undefined) return;
  throw new ImageError(
    'step-failed',
    `the image of the extension ${name} has another /${first.path} than its tree`,
  );
}

async function readPublished(folder: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(sysextSignature(folder, name));
  } catch (error) {
    throw new ImageError('signatures-invalid', `there is no published signature of the extension ${name}`, {
      remedy: 'name the folder "signatures" of a signed image, whole',
      cause: error,
    });
  }
}

/** Partitions without a root hash of their own have null there. */
const RootHash = Type.Union([Type.String({pattern: '^[0-9a-f]{64}$'}), Type.Null()]);
const Report = Type.Array(Type.Object({roothash: Type.Optional(RootHash)}));

function rootHashOf(report: string): string {
  const found = parseJson(Report, report, 'the report of systemd-repart').find(one => one.roothash);
  if (!found?.roothash) throw new ImageError('step-failed', 'systemd-repart named no root hash');
  return found.roothash;
}
