/** What can go wrong while the contents of an image are read or described. */
import {HawserError} from '../../services/common/errors.ts';

export type ContentsErrorCode =
  'bad-deb822' | 'bad-dependency' | 'bad-debian-version' | 'bad-package' | 'duplicate-package';

export class ContentsError extends HawserError<ContentsErrorCode> {}
