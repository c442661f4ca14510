/** The unified kernel image: kernel, initrd and command line in one EFI program. */
import {copyFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {runTool, type BuildContext} from './context.ts';
import type {Kernel} from './kernel.ts';

/** PCR 11 policies cover these boot phases (systemd-pcrphase.service). */
const phases = ['enter-initrd', 'enter-initrd:leave-initrd', 'enter-initrd:leave-initrd:sysinit', 'enter-initrd:leave-initrd:sysinit:ready'];

export interface UkiInput {
  readonly kernel: Kernel;
  readonly initrd: string;
  readonly rootHash: string;
  readonly version: string;
  /** Folder of keys made by `hawser keys init`; unsigned without it. */
  readonly keys: string | undefined;
}

/** Writes the UKI below `work`, signed when there are keys, and returns its path. */
export async function buildUki(context: BuildContext, input: UkiInput, work: string): Promise<string> {
  await copyFile(join(input.kernel.folder, 'vmlinuz'), join(work, 'vmlinuz'));
  await copyFile(input.initrd, join(work, 'initrd'));
  await copyFile(join(work, 'usr/lib/os-release'), join(work, 'os-release'));
  await writeFile(join(work, 'cmdline'), [`usrhash=${input.rootHash}`, ...context.recipe.build.commandLine].join(' '));
  const argv = [
    'ukify',
    'build',
    '--linux=/build/vmlinuz',
    '--initrd=/build/initrd',
    '--cmdline=@/build/cmdline',
    '--os-release=@/build/os-release',
    `--uname=${input.kernel.version}`,
    '--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub',
    '--output=/build/uki-unsigned.efi',
  ];
  const unsigned = join(work, 'uki-unsigned.efi');
  if (input.keys === undefined) {
    await runTool(context, argv, {[work]: '/build'});
    return unsigned;
  }
  await runTool(
    context,
    [
      ...argv,
      '--pcr-private-key=/keys/pcr.key',
      '--pcr-public-key=/keys/pcr.pub',
      '--pcr-banks=sha256',
      `--phases=${phases.join(' ')}`,
    ],
    {[work]: '/build', [input.keys]: '/keys'},
  );
  await sign(context, '/build/uki-unsigned.efi', '/build/uki.efi', input.keys, work);
  return join(work, 'uki.efi');
}

async function sign(context: BuildContext, program: string, output: string, keys: string, work: string): Promise<void> {
  await runTool(
    context,
    ['/usr/lib/systemd/systemd-sbsign', 'sign', '--private-key=/keys/db.key', '--certificate=/keys/db.crt', `--output=${output}`, program],
    {[work]: '/build', [keys]: '/keys'},
  );
}

/** Writes `work/boot-loader.efi`: systemd-boot, signed when there are keys. */
export async function buildBootLoader(context: BuildContext, keys: string | undefined, work: string): Promise<string> {
  const loader = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi';
  const output = join(work, 'boot-loader.efi');
  if (keys === undefined) {
    await copyFile(join(context.toolsRoot, loader), output);
    return output;
  }
  await sign(context, loader, '/build/boot-loader.efi', keys, work);
  return output;
}
