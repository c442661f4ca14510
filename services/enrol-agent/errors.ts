/** What can go wrong on the machine's side of enrolment. */
import {HawserError} from '../common/errors.ts';

export type EnrolAgentErrorCode =
  | 'not-configured'
  | 'bad-config'
  | 'bad-key'
  | 'no-host-key'
  | 'not-requested'
  | 'bad-grant'
  | 'other-machine'
  | 'forged-grant'
  | 'wrong-certificate'
  | 'refused'
  | 'unreachable';

export class EnrolAgentError extends HawserError<EnrolAgentErrorCode> {}
