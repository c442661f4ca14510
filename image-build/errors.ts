/** The errors of the image pipeline. */
import {HawserError} from '../services/common/errors.ts';

export type ImageErrorCode =
  | 'recipe-invalid'
  | 'lock-invalid'
  | 'lock-does-not-fit'
  | 'unknown-package'
  | 'package-gone'
  | 'hash-mismatch'
  | 'archive-unreachable'
  | 'archive-untrusted'
  | 'installed-set-differs'
  | 'tool-missing'
  | 'disk-full'
  | 'over-budget'
  | 'not-an-image'
  | 'image-too-new'
  | 'signatures-invalid'
  | 'not-reproduced'
  | 'busy'
  | 'step-failed';

export class ImageError extends HawserError<ImageErrorCode> {}
