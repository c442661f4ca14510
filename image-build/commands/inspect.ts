/** `hawser image inspect`. */
import {join} from 'node:path';
import {flagBoolean, type Command} from '../../services/common/command.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {megabytes, renderSizes} from '../contents/sizes.ts';
import {imagePath, openImage, readSizes, type Image} from '../images.ts';
import {inspectImage, type Inspection, type SignatureState} from '../inspection.ts';
import {outputFlag} from './flags.ts';
import {printResult, table} from './output.ts';

export const inspectCommand: Command = {
  name: 'image inspect',
  summary:
    'show what is in an image and check it: hashes, partitions, /usr against its root hash, signatures',
  usage: '[IMAGE]',
  arguments: {min: 0, max: 1},
  flags: [{name: 'sizes', type: 'boolean', summary: 'bytes by package instead, largest first'}, outputFlag],
  run: async (context, input) => {
    const images = join(resolvePaths(context.env).home, 'images');
    const image = await openImage(imagePath(images, context.cwd, input.args[0]));
    if (flagBoolean(input.flags, 'sizes')) {
      const sizes = await readSizes(image);
      printResult(context, input, sizes, () => renderSizes(sizes, Infinity));
      return 0;
    }
    const inspection = await inspectImage(image, context.signal);
    printResult(context, input, {folder: image.folder, manifest: image.manifest, ...inspection}, () =>
      render(image, inspection),
    );
    return inspection.problems.length === 0 ? 0 : 1;
  },
};

function render({folder, manifest}: Image, inspection: Inspection): string[] {
  const {partitions, uki, signatures, sysexts, problems} = inspection;
  return [
    ...table([
      ['image', `${manifest.name} ${manifest.version} (${manifest.architecture})`],
      ['folder', folder],
      ['root hash', manifest.rootHash],
      ['kernel', manifest.kernel],
      ['command line', uki.commandLine],
      ['lock', `${manifest.lockSha256}${manifest.locked ? '' : ' (resolved anew: not the committed lock)'}`],
      ['boot loader', describe(signatures['boot-loader'])],
      ['UKI', describe(signatures.uki)],
      ...sysexts.map(({name, rootHash, certificate}) => [
        `extension ${name}`,
        `${rootHash} ${certificate === undefined ? 'not signed' : `signed by certificate ${certificate.slice(0, 16)}…`}`,
      ]),
    ]),
    '',
    ...table(
      Object.entries(manifest.artefacts).map(([name, {file, size, sha256}]) => [
        name,
        megabytes(size),
        sha256.slice(0, 16),
        file,
      ]),
    ),
    '',
    ...table(partitions.map(one => [String(one.number), one.kind, one.label, megabytes(one.size), one.uuid])),
    '',
    ...table(uki.sections.map(one => [one.name, `${one.size} bytes`])),
    '',
    ...(problems.length === 0
      ? ['checked: every file has its hash, /usr hangs from the root hash']
      : problems.map(one => `problem: ${one}`)),
  ];
}

function describe({state, certificate}: SignatureState): string {
  if (state === 'unsigned') return 'not signed';
  const by =
    certificate === undefined
      ? 'by a certificate that is not in the image folder'
      : `by certificate ${certificate.slice(0, 16)}…`;
  return state === 'fits' ? `signed ${by}` : `signed ${by}, BUT FOR OTHER BYTES`;
}
