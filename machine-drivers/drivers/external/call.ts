/** One call of an external driver: one process, one request, one answer. */
import type {Static} from 'typebox';
import {describeError} from '../../../services/common/errors.ts';
import {ExecError, exec} from '../../../services/common/exec.ts';
import {parseJson, parseValue} from '../../../services/common/parse.ts';
import {MachineError, checkFailed} from '../../errors.ts';
import {Answers, Message, errorCodes} from './protocol.ts';
import type {Method} from './protocol.ts';

/** A step may wait for a machine to boot. */
const CALL_TIMEOUT_MS = 1_800_000;

export interface Caller {
  /** Absolute. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
  readonly report?: (detail: string) => void;
}

/** Throws what the driver says is wrong, or `driver-failed` when it does not keep to the protocol. */
export async function callDriver<Name extends Method>(
  {program, env, signal, report}: Caller,
  method: Name,
  params: object,
): Promise<Static<(typeof Answers)[Name]>> {
  const broken = (why: string, cause?: unknown) =>
    new MachineError('driver-failed', `${program} ${method}: ${why}`, {
      remedy: 'see machine-drivers/drivers/external/README.md for the protocol',
      cause,
    });
  let answer: Message | undefined;
  let nonsense: unknown;
  const onLine = (line: string) => {
    // What the driver says on standard error comes here as well: it is for people.
    if (!line.startsWith('{')) return report?.(line);
    try {
      const message = parseJson(Message, line, 'the answer');
      if ('method' in message) report?.(message.params.detail);
      else answer ??= message;
    } catch (error) {
      nonsense ??= error;
    }
  };
  try {
    await exec([program], {
      timeoutMs: CALL_TIMEOUT_MS,
      ...(signal === undefined ? {} : {signal}),
      env: Object.fromEntries(
        Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
      ),
      input: `${JSON.stringify({jsonrpc: '2.0', id: 1, method, params})}\n`,
      onLine,
    });
  } catch (error) {
    // A driver that answered an error may end with a code of its own.
    const answered = answer !== undefined && 'error' in answer;
    if (!answered || !(error instanceof ExecError) || error.code !== 'failed')
      throw broken(describeError(error), error);
  }
  if (answer === undefined)
    throw broken(nonsense === undefined ? 'no answer' : describeError(nonsense), nonsense);
  if ('error' in answer) throw refusal(answer.error);
  if ('method' in answer) throw broken('no answer');
  try {
    return parseValue(Answers[method], answer.result, 'the answer');
  } catch (error) {
    throw broken(describeError(error), error);
  }
}

function refusal({message, data}: Extract<Message, {error: unknown}>['error']): MachineError {
  const code = errorCodes.find(known => known === data?.code) ?? 'driver-failed';
  const remedy = data?.remedy;
  if (code === 'check-failed') return checkFailed(message, remedy ?? 'see the driver’s own documentation');
  return new MachineError(code, message, remedy === undefined ? {} : {remedy});
}
