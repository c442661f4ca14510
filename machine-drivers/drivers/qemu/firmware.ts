/** Where distributions keep OVMF, and which pair fits. */
import {copyFile, rename, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {checkFailed} from '../../errors.ts';

export interface Firmware {
  readonly code: string;
  /** Template of the variable store; every machine gets a copy. */
  readonly vars: string;
}

interface Candidate {
  readonly folder: string;
  readonly code: string;
  readonly vars: string;
}

/** Debian and Ubuntu (4M first: the 2M build is gone from newer releases), Fedora, Arch. */
const plain: readonly Candidate[] = [
  {folder: '/usr/share/OVMF', code: 'OVMF_CODE_4M.fd', vars: 'OVMF_VARS_4M.fd'},
  {folder: '/usr/share/OVMF', code: 'OVMF_CODE.fd', vars: 'OVMF_VARS.fd'},
  {folder: '/usr/share/edk2/ovmf', code: 'OVMF_CODE.fd', vars: 'OVMF_VARS.fd'},
  {folder: '/usr/share/edk2/x64', code: 'OVMF_CODE.4m.fd', vars: 'OVMF_VARS.4m.fd'},
];

const secure: readonly Candidate[] = [
  {folder: '/usr/share/OVMF', code: 'OVMF_CODE_4M.secboot.fd', vars: 'OVMF_VARS_4M.fd'},
  {folder: '/usr/share/OVMF', code: 'OVMF_CODE.secboot.fd', vars: 'OVMF_VARS.fd'},
  {folder: '/usr/share/edk2/ovmf', code: 'OVMF_CODE.secboot.fd', vars: 'OVMF_VARS.fd'},
  {folder: '/usr/share/edk2/x64', code: 'OVMF_CODE.secboot.4m.fd', vars: 'OVMF_VARS.4m.fd'},
];

export interface FirmwareWish {
  readonly secureBoot: boolean;
  /** The code file that the operator named. */
  readonly code: string | undefined;
  /** Variables with enrolled keys. */
  readonly secureBootVars: string | undefined;
}

/** Throws by `checkFailed` when no pair is installed, or no keys are there to enforce. */
export async function findFirmware(wish: FirmwareWish): Promise<Firmware> {
  if (wish.secureBoot && wish.secureBootVars === undefined) {
    throw checkFailed(
      'the image brings no variables with enrolled keys',
      'build a signed image, or leave out --qemu-secure-boot',
    );
  }
  const found =
    wish.code === undefined ? await firstInstalled(wish.secureBoot ? secure : plain) : await named(wish.code);
  return wish.secureBoot && wish.secureBootVars !== undefined
    ? {code: found.code, vars: wish.secureBootVars}
    : found;
}

/** Copies the template once; what the firmware wrote into an existing copy is kept. */
export async function ensureVars(template: string, path: string): Promise<void> {
  if (await isFile(path)) return;
  await copyFile(template, `${path}.new`);
  await rename(`${path}.new`, path);
}

async function firstInstalled(candidates: readonly Candidate[]): Promise<Firmware> {
  for (const {folder, code, vars} of candidates) {
    const pair = {code: join(folder, code), vars: join(folder, vars)};
    if ((await isFile(pair.code)) && (await isFile(pair.vars))) return pair;
  }
  throw checkFailed(
    'no UEFI firmware (OVMF) is installed',
    'install it (Debian and Ubuntu: apt-get install ovmf), or name it with --qemu-firmware',
  );
}

/** The variable store that lies beside a code file: same name with VARS for CODE, without the variant. */
async function named(code: string): Promise<Firmware> {
  const file = code.slice(dirname(code).length + 1);
  const vars = file.replace('CODE', 'VARS');
  for (const candidate of [vars, vars.replace(/\.(secboot|ms|snakeoil)(?=\.)/, '')]) {
    const path = join(dirname(code), candidate);
    if (candidate !== file && (await isFile(path))) return {code, vars: path};
  }
  throw checkFailed(`there is no variable store beside ${code}`, `put ${vars} there`);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    entry => entry.isFile(),
    () => false,
  );
}
