/** What can be wrong with a disk, a boot file or an exported image. */
import {HawserError} from '../errors.ts';

export type FormatErrorCode =
  | 'truncated'
  | 'no-gpt'
  | 'bad-gpt-header'
  | 'bad-gpt-checksum'
  | 'gpt-copies-differ'
  | 'bad-partition'
  | 'no-such-partition'
  | 'not-pe'
  | 'bad-pe-header'
  | 'bad-pe-section'
  | 'bad-certificate-table'
  | 'already-signed'
  | 'not-signed'
  | 'not-reattachable'
  | 'not-uki'
  | 'bad-fat'
  | 'bad-cpio'
  | 'bad-verity'
  | 'verity-mismatch'
  | 'disk-full'
  | 'no-such-file'
  | 'unknown-format'
  | 'export-differs';

export class FormatError extends HawserError<FormatErrorCode> {}
