/** Errors of the benchmark. */
import {HawserError} from '../../services/common/errors.ts';

export type BenchErrorCode =
  'no-image' | 'boot-failed' | 'probe-failed' | 'over-time' | 'wrong-path' | 'missing-tool';

export class BenchError extends HawserError<BenchErrorCode> {}
