/**
 * A file from any web server. Not by `fetch`: Node's ends the process with a failed assertion when a server closes the
 * connection while part of an answer is not read yet, as simple web servers do after each.
 */
import {request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';

const MAX_REDIRECTS = 5;

export interface GetOptions {
  readonly signal: AbortSignal;
  /** Milliseconds of silence after which the connection is given up. */
  readonly stallMs: number;
}

/**
 * The answer, redirects followed; its body is the caller's to read to the end, or to destroy. Rejects with what the
 * network says.
 */
export async function openGet(url: URL, options: GetOptions): Promise<IncomingMessage> {
  let at = url;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const answer = await ask(at, options);
    const {statusCode = 0, headers} = answer;
    if (statusCode < 300 || statusCode >= 400 || headers.location === undefined) return answer;
    answer.destroy();
    at = new URL(headers.location, at);
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
}

function ask(url: URL, {signal, stallMs}: GetOptions): Promise<IncomingMessage> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const asked = send(url, {agent: false, signal}, resolve);
    asked.setTimeout(stallMs, () => asked.destroy(new Error(`no byte for ${stallMs / 1000} seconds`)));
    asked.on('error', reject);
    asked.end();
  });
}
