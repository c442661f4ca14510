/** What can go wrong before a command runs. */
import {HawserError} from '../common/errors.ts';

export class CliError extends HawserError<'unknown-command' | 'bad-config' | 'bad-image'> {}
