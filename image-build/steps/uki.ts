/** The unified kernel image: kernel, initrd and command line in one EFI program. */
import {copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {basename, dirname, join, relative} from 'node:path';
import {isThere} from '../cache.ts';
import {ImageError} from '../errors.ts';
import {attachSignature, detachSignature, joinSignatures} from '../formats/pe-signature.ts';
import {parsePe} from '../../services/common/formats/pe.ts';
import {readUki} from '../../services/common/formats/uki.ts';
import {keySetPaths, previousDb} from '../keys/key-set.ts';
import {publicKeyFiles, signatureFiles, type Signing} from '../signing.ts';
import {runTool, type BuildContext} from './context.ts';
import type {Kernel} from './kernel.ts';

/** PCR 11 policies cover these boot phases (systemd-pcrphase.service). */
const phases = [
  'enter-initrd',
  'enter-initrd:leave-initrd',
  'enter-initrd:leave-initrd:sysinit',
  'enter-initrd:leave-initrd:sysinit:ready',
];

export interface UkiInput {
  readonly kernel: Kernel;
  readonly initrd: string;
  readonly rootHash: string;
  readonly signing: Signing;
}

/** Writes the UKI below `work`, signed as `signing` says, and returns its path. */
export async function buildUki(context: BuildContext, input: UkiInput, work: string): Promise<string> {
  const {signing} = input;
  await copyFile(join(input.kernel.folder, 'vmlinuz'), join(work, 'vmlinuz'));
  await copyFile(input.initrd, join(work, 'initrd'));
  await copyFile(join(work, 'usr/lib/os-release'), join(work, 'os-release'));
  await writeFile(
    join(work, 'cmdline'),
    [`usrhash=${input.rootHash}`, ...context.recipe.build.commandLine].join(' '),
  );
  const build = (output: string, ...options: readonly string[]) =>
    runTool(
      context,
      [
        'ukify',
        'build',
        '--linux=/build/vmlinuz',
        '--initrd=/build/initrd',
        '--cmdline=@/build/cmdline',
        '--os-release=@/build/os-release',
        `--uname=${input.kernel.version}`,
        '--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub',
        `--output=/build/${output}`,
        ...options,
      ],
      {[work]: '/build', ...(signing.kind === 'none' ? {} : {[signing.folder]: '/keys'})},
    );
  const unsigned = join(work, 'uki-unsigned.efi');
  if (signing.kind === 'none') {
    await build('uki-unsigned.efi');
    return unsigned;
  }
  const signatures = signatureFiles(signaturesFolder(work));
  if (signing.kind === 'keys') {
    const policies = [
      `--pcr-private-key=/keys/pcr.key`,
      '--pcr-public-key=/keys/pcr.pub',
      '--pcr-banks=sha256',
      `--phases=${phases.join(' ')}`,
    ];
    await build('uki-policies.efi', ...policies);
    await writeFile(signatures.pcrPolicies, pcrPolicies(await readFile(join(work, 'uki-policies.efi'))));
  }
  // ukify puts a section that it is given elsewhere than one that it makes: so it is given the section also by
  // the build that just made it, and a later build with the published section writes the same bytes.
  await build(
    'uki-unsigned.efi',
    '--pcrpkey=/keys/pcr.pub',
    '--section=.pcrsig:@/build/signatures/pcrsig.json',
  );
  return sign(context, {
    program: unsigned,
    output: join(work, 'uki.efi'),
    signature: signatures.uki,
    signing,
    work,
  });
}

/** Writes `work/boot-loader.efi`: systemd-boot, signed as `signing` says. */
export async function buildBootLoader(
  context: BuildContext,
  signing: Signing,
  work: string,
): Promise<string> {
  const unsigned = join(work, 'boot-loader-unsigned.efi');
  await copyFile(join(context.toolsRoot, '/usr/lib/systemd/boot/efi/systemd-bootx64.efi'), unsigned);
  if (signing.kind === 'none') return unsigned;
  const signature = signatureFiles(signaturesFolder(work)).bootLoader;
  return sign(context, {program: unsigned, output: join(work, 'boot-loader.efi'), signature, signing, work});
}

/**
 * Fills `work/signatures` with what is public of the keys, and with published signatures when there are any: the
 * steps above read and complete it, and it goes into the image's folder.
 */
export async function prepareSignatures(signing: Signing, work: string): Promise<string | undefined> {
  if (signing.kind === 'none') return undefined;
  const folder = signaturesFolder(work);
  const from = publicKeyFiles(keySetPaths(signing.folder));
  const published = signing.kind === 'attach' ? Object.values(signatureFiles(signing.folder)) : [];
  for (const path of [...from, ...published]) {
    const target = join(folder, relative(signing.folder, path));
    await mkdir(dirname(target), {recursive: true});
    await copyFile(path, target);
  }
  return folder;
}

function signaturesFolder(work: string): string {
  return join(work, 'signatures');
}

interface SignRequest {
  readonly program: string;
  readonly output: string;
  /** Where the detached signature is read from, or written to. */
  readonly signature: string;
  readonly signing: Exclude<Signing, {kind: 'none'}>;
  readonly work: string;
}

async function sign(context: BuildContext, request: SignRequest): Promise<string> {
  const {program, output, signature, signing} = request;
  if (signing.kind === 'attach') {
    await writeFile(output, attachSignature(await readFile(program), await readFile(signature)));
    return output;
  }
  const unsigned = await readFile(program);
  const detached: Uint8Array[] = [];
  for (const key of await signingKeys(signing.folder)) {
    await signOnce(context, request, key);
    const {signature} = detachSignature(await readFile(output));
    detached.push(signature);
  }
  const [first, ...others] = detached;
  if (first === undefined) throw new ImageError('step-failed', 'there is no key to sign with');
  const joined = joinSignatures(first, ...others);
  await writeFile(signature, joined);
  await writeFile(output, attachSignature(unsigned, joined));
  return output;
}

/** `db`, and while the db key is being changed the old one besides: names of the files in the folder of keys. */
async function signingKeys(folder: string): Promise<readonly string[]> {
  const {key} = previousDb(folder);
  return (await isThere(key)) ? ['db', basename(key, '.key')] : ['db'];
}

/** Writes `output`, signed by one key, and proves that its signature goes back on the image that was signed. */
async function signOnce(
  context: BuildContext,
  {program, output, signing, work}: SignRequest,
  key: string,
): Promise<void> {
  const inside = (path: string) => `/build/${basename(path)}`;
  await runTool(
    context,
    [
      '/usr/lib/systemd/systemd-sbsign',
      'sign',
      `--private-key=/keys/${key}.key`,
      `--certificate=/keys/${key}.crt`,
      `--output=${inside(output)}`,
      inside(program),
    ],
    {[work]: '/build', [signing.folder]: '/keys'},
  );
  const signed = await readFile(output);
  const {signature} = detachSignature(signed);
  if (signed.equals(attachSignature(await readFile(program), signature))) return;
  throw new ImageError(
    'step-failed',
    `the signature of ${basename(output)} does not go back on the image that was signed`,
  );
}

function pcrPolicies(uki: Uint8Array): Uint8Array {
  const section = readUki(parsePe(uki)).base.get('.pcrsig');
  if (section === undefined) throw new ImageError('step-failed', 'ukify wrote no PCR policies');
  return section;
}
