/** What can go wrong when a machine's first-boot config is put together or a config file is read. */
import {HawserError} from '../../common/errors.ts';

export type ConfigErrorCode =
  /** The operator's config writes what only Hawser may write. */
  | 'reserved-path'
  /** The operator's config replaces the machine's whole config by another one. */
  | 'replaces-config'
  /** The machine's name cannot be a host name. */
  | 'bad-hostname'
  /** A config file or the directory of local files cannot be read. */
  | 'unreadable';

export class ConfigError extends HawserError<ConfigErrorCode> {}
