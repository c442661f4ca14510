/** The update server and its reboot lock over HTTPS. Refused, unreachable and broken come back as different events. */
import type {Static, TSchema} from 'typebox';
import {CheckAnswer, ErrorAnswer} from '../../common/contracts/fleet.ts';
import {AcquireAnswer, LockRefusal} from '../../common/contracts/lock.ts';
import {describeError} from '../../common/errors.ts';
import {parseJson} from '../../common/parse.ts';
import type {CheckReply, LockFault, ServerPort} from '../ports.ts';
import {networkReason, type HttpAnswer, type MachineHttp} from '../../common/machine-http.ts';

type Acquired = Awaited<ReturnType<ServerPort['acquire']>>;

export function httpServer(base: string, http: MachineHttp): ServerPort {
  const root = new URL(base.endsWith('/') ? base : `${base}/`);
  const post = async (path: string, body: unknown): Promise<HttpAnswer | {unreachable: string}> => {
    try {
      return await http.post(new URL(path, root), body);
    } catch (error) {
      return {unreachable: `the server at ${root.host} does not answer (${networkReason(error)})`};
    }
  };
  return {
    async check(request) {
      const answer = await post('v1/check', request);
      if ('unreachable' in answer) return {event: {kind: 'server-unreachable', detail: answer.unreachable}};
      if (answer.status === 200) return readCheck(answer);
      const kind = isRefusal(answer.status) ? 'server-refused' : 'server-failed';
      return {event: {kind, detail: errorIn(answer)}};
    },
    async acquire(request) {
      const answer = await post('v1/lock/acquire', request);
      if ('unreachable' in answer) return {kind: 'lock-unreachable', detail: answer.unreachable};
      if (answer.status === 200) {
        return read<typeof AcquireAnswer, Acquired>(
          AcquireAnswer,
          answer,
          ({fence}) => ({kind: 'lock-granted', fence}),
          lockFailed,
        );
      }
      if (answer.status === 409) {
        return read<typeof LockRefusal, Acquired>(
          LockRefusal,
          answer,
          ({kind, message}) => ({kind: 'lock-refused', refusal: kind, detail: message}),
          lockFailed,
        );
      }
      return lockFailed(errorIn(answer));
    },
    async phase(request) {
      const answer = await post('v1/lock/phase', request);
      if ('unreachable' in answer) return {kind: 'lock-unreachable', detail: answer.unreachable};
      if (answer.status >= 200 && answer.status < 300) return {kind: 'lock-confirmed'};
      if (answer.status === 409) return {kind: 'lock-lost', detail: errorIn(answer)};
      return lockFailed(errorIn(answer));
    },
    async release(request) {
      const answer = await post('v1/lock/release', request);
      if ('unreachable' in answer) return {kind: 'lock-unreachable', detail: answer.unreachable};
      if (answer.status >= 200 && answer.status < 300) return {kind: 'lock-released'};
      if (answer.status === 409) return {kind: 'lock-lost', detail: errorIn(answer)};
      return lockFailed(errorIn(answer));
    },
  };
}

function readCheck(answer: HttpAnswer): CheckReply {
  return read(
    CheckAnswer,
    answer,
    ({action, version, reason, pollSeconds, eventsReceived, repositories}): CheckReply => {
      const rest = {pollSeconds, eventsReceived, ...(repositories === undefined ? {} : {repositories})};
      if (action === 'none') return {event: {kind: 'answer-none', detail: reason}, ...rest};
      if (version === undefined) {
        return {event: {kind: 'server-failed', detail: `the server says "${action}", and not what`}};
      }
      return {event: {kind: `answer-${action}`, version, detail: reason}, ...rest};
    },
    detail => ({event: {kind: 'server-failed', detail}}),
  );
}

function read<Schema extends TSchema, Result>(
  schema: Schema,
  {body}: HttpAnswer,
  take: (value: Static<Schema>) => Result,
  broken: (detail: string) => Result,
): Result {
  let value: Static<Schema>;
  try {
    value = parseJson(schema, body.toString('utf8'), "the server's answer");
  } catch (error) {
    return broken(describeError(error));
  }
  return take(value);
}

function lockFailed(detail: string): LockFault {
  return {kind: 'lock-failed', detail};
}

/** Asking again at once is of no use. 408 and 429 are about the moment. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function errorIn({status, body}: HttpAnswer): string {
  try {
    const {kind, message} = parseJson(ErrorAnswer, body.toString('utf8'), 'the error');
    return `the server answers ${status} (${kind}): ${message.slice(0, 300)}`;
  } catch {
    return `the server answers ${status}`;
  }
}
