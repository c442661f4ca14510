/** One call, sent until its outcome is final: what answers say no is thrown, what is worth another try gets it. */
import type {Readable} from 'node:stream';
import {text as readText} from 'node:stream/consumers';
import type {Static, TSchema} from 'typebox';
import type {Clock} from '../../../../services/common/clock.ts';
import {ParseError, parseJson} from '../../../../services/common/parse.ts';
import {OpenStackError, hasCode, refusalError} from './errors.ts';
import {retryDelay} from './retry.ts';
import type {Outcome} from './retry.ts';
import type {HttpAnswer, Transport} from './transport.ts';

/** Nova's answer to a creation waits for its message queue, for up to this long on a busy cloud. */
const IDLE_MS = 120_000;

export interface Exchange {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** For messages: the path alone. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; opened again for each attempt. */
  readonly upload?: {readonly open: () => Readable; readonly length: number};
  readonly contentType?: string;
}

export interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Sends until the outcome is final. Throws the error for an answer that says no. */
export async function exchange(
  transport: Transport,
  {clock, signal}: Patience,
  call: Exchange,
): Promise<HttpAnswer> {
  const {method, url, upload} = call;
  const type = call.contentType ?? (call.json === undefined ? undefined : 'application/json');
  const headers = {...call.headers, ...(type === undefined ? {} : {'content-type': type})};
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    const body =
      upload === undefined
        ? call.json === undefined
          ? undefined
          : JSON.stringify(call.json)
        : {stream: upload.open(), length: upload.length};
    let outcome: Outcome = {kind: 'silence'};
    let failure: unknown;
    try {
      const answer = await transport.send({
        method,
        url,
        headers,
        idleMs: IDLE_MS,
        signal,
        ...(body === undefined ? {} : {body}),
      });
      const {status} = answer;
      if (status >= 200 && status < 300) return answer;
      outcome = {kind: 'answer', status, retryAfter: answer.headers['retry-after']};
      failure = refusalError(describe(call), {
        status,
        body: await bodyText(answer),
        requestId: headerText(answer.headers['x-openstack-request-id']),
      });
    } catch (error) {
      if (!hasCode(error, 'unreachable')) throw error;
      failure = error;
    }
    // What is uploaded in part cannot be uploaded again as if nothing had been.
    const delay = retryDelay(upload === undefined ? method : 'POST', attempt, outcome, clock.now());
    if (delay === undefined) throw failure;
    await clock.sleep(delay, signal);
  }
}

/** The whole body. Throws OpenStackError `unreachable` when it breaks off. */
export async function bodyText(answer: HttpAnswer): Promise<string> {
  try {
    return await readText(answer.body);
  } catch (error) {
    throw new OpenStackError('unreachable', 'the connection broke off in the middle of an answer', {
      cause: error,
    });
  }
}

/** Checks an answer. Throws OpenStackError `bad-answer`. */
export function readAnswer<Schema extends TSchema>(
  schema: Schema,
  text: string,
  what: string,
): Static<Schema> {
  try {
    return parseJson(schema, text, `the answer to ${what}`);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new OpenStackError('bad-answer', error.message, {cause: error});
  }
}

/** For messages. */
export function describe(call: Pick<Exchange, 'method' | 'path'>): string {
  return `${call.method} ${call.path}`;
}

/** The first of a header that may be there several times. */
export function headerText(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
