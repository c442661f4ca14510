/** The built image that `--image` names, as far as EC2 needs to know it. */
import {readFile, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {ImageManifest} from '../../../services/common/contracts/image.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {checkFailed} from '../../errors.ts';

/** Root hash of the image in (or around) `path`. Throws by `checkFailed`. */
export async function builtRootHash(path: string): Promise<string> {
  try {
    const folder = (await stat(path)).isDirectory() ? path : dirname(path);
    const file = join(folder, 'manifest.json');
    return parseJson(ImageManifest, await readFile(file, 'utf8'), file).rootHash;
  } catch (error) {
    throw checkFailed(
      `${path} is no built image`,
      'name the folder of one that was published, or give --amazonec2-ami',
      error,
    );
  }
}
