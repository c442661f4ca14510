/** The road over HTTPS: the machine itself sends its request to the server that it was told of. */
import {request as httpsRequest} from 'node:https';
import type {EnrolmentRequest} from '../common/contracts/enrolment.ts';
import {systemErrorCode} from '../common/errors.ts';
import {EnrolAgentError} from './errors.ts';

const ATTEMPT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 15_000;

export interface ServerCall {
  readonly server: {readonly url: string; readonly ca: string};
  readonly request: EnrolmentRequest;
  /** How long to go on trying. */
  readonly seconds: number;
  /** Between 0 and 1. */
  random(): number;
  /** Waits between attempts; returns true when the machine was enrolled by the other road meanwhile. */
  pause(ms: number): Promise<boolean>;
  onRetry(reason: string): void;
  /** Milliseconds that never jump: a first boot sets its clock while this goes on. */
  monotonicMs(): number;
}

/**
 * Asks until there is an answer; returns the grant as JSON, or undefined when the machine was enrolled meanwhile. Throws
 * `refused` when asking again is no use, `unreachable` when the time is up.
 */
export async function callServer(call: ServerCall): Promise<string | undefined> {
  const started = call.monotonicMs();
  for (let attempt = 0; ; attempt += 1) {
    const answer = await post(call);
    if (answer.kind === 'grant') return answer.json;
    // Jitter: a fleet that boots at once must not come back at once.
    const delay = Math.round(
      Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * (0.5 + call.random() / 2),
    );
    if (call.monotonicMs() - started + delay > call.seconds * 1000) {
      throw new EnrolAgentError(
        'unreachable',
        `the server did not answer within ${call.seconds} s: ${answer.reason}`,
        {
          remedy: 'the command line can still enrol this machine over SSH',
        },
      );
    }
    call.onRetry(answer.reason);
    if (await call.pause(delay)) return undefined;
  }
}

type Answer =
  {readonly kind: 'grant'; readonly json: string} | {readonly kind: 'again'; readonly reason: string};

async function post(call: ServerCall): Promise<Answer> {
  let status: number;
  let body: string;
  try {
    ({status, body} = await send(call.server, JSON.stringify(call.request)));
  } catch (error) {
    // The code (ECONNREFUSED, UNABLE_TO_VERIFY_LEAF_SIGNATURE) says enough; Node's text suggests trusting other CAs.
    return {kind: 'again', reason: systemErrorCode(error) ?? String(error)};
  }
  if (status === 200) return {kind: 'grant', json: body};
  if (status === 408 || status === 429 || status >= 500) return {kind: 'again', reason: `status ${status}`};
  throw new EnrolAgentError(
    'refused',
    `the server refused to enrol this machine (${status} ${reasonIn(body)})`,
    {
      remedy: 'create the machine again, or issue it a new token',
    },
  );
}

function send(server: ServerCall['server'], json: string): Promise<{status: number; body: string}> {
  const base = server.url.endsWith('/') ? server.url : `${server.url}/`;
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      new URL('v1/enrol', base),
      {
        method: 'POST',
        // Only this CA, none of the system's: the server is pinned.
        ca: server.ca,
        agent: false,
        headers: {'content-type': 'application/json', 'content-length': Buffer.byteLength(json)},
        signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
      },
      incoming => {
        const chunks: Buffer[] = [];
        let length = 0;
        incoming.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES) incoming.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve({status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8')}),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(json);
  });
}

/** The server's word for a refusal. It is from outside: only a short, plain word gets into the log. */
function reasonIn(body: string): string {
  return /"kind":"([a-z-]{1,40})"/.exec(body)?.[1] ?? 'no reason given';
}
