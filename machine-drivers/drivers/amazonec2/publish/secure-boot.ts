/** The Secure Boot keys of a built image, from its folder. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {checkFailed} from '../../../errors.ts';
import type {BuiltImage} from '../../../publisher.ts';
import {readAuthFile, uefiData} from './uefi-data.ts';

/** UefiData for the image, or undefined for an unsigned one. Throws by `checkFailed` when the files are missing. */
export async function secureBootData(image: BuiltImage): Promise<string | undefined> {
  if (!image.manifest.signed) return undefined;
  const folder = join(image.folder, 'signatures', 'enrolment');
  const read = async (name: 'PK' | 'KEK' | 'db') =>
    readAuthFile(name, await readFile(join(folder, `${name}.auth`)));
  try {
    return uefiData([await read('PK'), await read('KEK'), await read('db')]);
  } catch (error) {
    throw checkFailed(`the image is signed, but ${folder} lacks its keys`, 'build the image again', error);
  }
}
