import {HawserError} from '../common/errors.ts';

export type UpdateAgentErrorCode =
  | 'illegal-transition'
  | 'undeclared-transition'
  | 'too-many-steps'
  | 'bad-config'
  | 'bad-record'
  | 'newer-record'
  | 'bad-partition-table'
  | 'no-slots'
  | 'running-slot'
  | 'not-proven'
  | 'esp-full'
  | 'no-esp'
  | 'unreachable'
  | 'refused'
  | 'failed'
  | 'no-release'
  | 'busy';

/** Everything that the agent throws on purpose. */
export class UpdateAgentError extends HawserError<UpdateAgentErrorCode> {}
