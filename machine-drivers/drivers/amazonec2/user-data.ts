/** User data: the first-boot configuration, made to fit. */
import {gzipSync} from 'node:zlib';
import {MachineError} from '../../errors.ts';

/** EC2: 16 KB, in raw form, before it is base64-encoded. */
export const USER_DATA_LIMIT = 16_384;

/**
 * `config` (Ignition JSON) as RunInstances takes it, in base64. One that is too large is replaced by a small one that
 * holds it compressed: Ignition takes no compressed user data, but `replace` with a `data:` URL and `compression`
 * (specification 3.3). The same text gives the same bytes. Throws `bad-setting` when even that is too large.
 */
export function userDataOf(config: string): string {
  const plain = Buffer.from(config);
  if (plain.length <= USER_DATA_LIMIT) return plain.toString('base64');
  const packed = Buffer.from(
    JSON.stringify({
      ignition: {
        version: '3.3.0',
        config: {
          replace: {
            source: `data:;base64,${gzipSync(plain, {level: 9}).toString('base64')}`,
            compression: 'gzip',
          },
        },
      },
    }),
  );
  if (packed.length <= USER_DATA_LIMIT) return packed.toString('base64');
  throw new MachineError(
    'bad-setting',
    `the first-boot configuration is too large for EC2: ${plain.length} bytes, ${packed.length} when compressed, ${USER_DATA_LIMIT} allowed`,
    {remedy: 'let the configuration fetch its large files by URL (contents.source with verification)'},
  );
}
