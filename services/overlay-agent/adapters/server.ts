/** The server over HTTPS, as this machine. */
import type {Static, TSchema} from 'typebox';
import {Type} from 'typebox';
import {ErrorAnswer} from '../../common/contracts/fleet.ts';
import {AnnounceAnswer, OverlayLease, OverlayNetwork, WatchLine} from '../../common/contracts/overlay.ts';
import {networkReason, readBody, type HttpAnswer, type MachineHttp} from '../../common/machine-http.ts';
import {parseJson} from '../../common/parse.ts';
import {OverlayError} from '../errors.ts';
import type {ServerPort} from '../ports.ts';

/** A line that does not end is not one of ours. */
const MAX_LINE = 256 * 1024 * 1024;

export function httpServer(base: string, http: MachineHttp): ServerPort {
  const root = new URL('v1/overlay/', base.endsWith('/') ? base : `${base}/`);
  const call = async <Schema extends TSchema>(
    path: string,
    schema: Schema,
    body: unknown = {},
  ): Promise<Static<Schema>> => {
    let answer: HttpAnswer;
    try {
      answer = await http.post(new URL(path, root), body);
    } catch (error) {
      throw unreachable(root, networkReason(error), error);
    }
    const text = answer.body.toString('utf8');
    if (answer.status === 200) return parseJson(schema, text, `the server's answer to ${path}`);
    throw refusal(root, answer.status, text);
  };
  const Nothing = Type.Object({});
  return {
    announce: request => call('host', AnnounceAnswer, request),
    createNetwork: request => call('networks', OverlayNetwork, request),
    nameNetwork: (id, request) => call(`networks/${id}/name`, OverlayNetwork, request),
    removeNetwork: async id => void (await call(`networks/${id}/remove`, Nothing)),
    claim: request => call('leases/claim', OverlayLease, request),
    release: async (network, block) => void (await call('leases/release', Nothing, {network, block})),
    endpoints: async request => void (await call('endpoints', Nothing, request)),
    watch: async (onLine, signal) => {
      try {
        const incoming = await http.open(new URL('watch', root), {accept: 'application/x-ndjson'}, signal);
        if (incoming.statusCode !== 200)
          throw refusal(root, incoming.statusCode ?? 0, (await readBody(incoming, 65_536)).toString('utf8'));
        let parts: string[] = [];
        incoming.setEncoding('utf8');
        for await (const chunk of incoming) {
          const [first = '', ...lines] = String(chunk).split('\n');
          parts.push(first);
          for (const rest of lines) {
            onLine(parseJson(WatchLine, parts.join(''), 'a line of the watch'));
            parts = [rest];
          }
          if (parts.reduce((sum, part) => sum + part.length, 0) > MAX_LINE)
            throw new Error('the line does not end');
        }
      } catch (error) {
        if (error instanceof OverlayError) throw error;
        throw unreachable(root, networkReason(error), error);
      }
      throw unreachable(root, 'it ended the stream', undefined);
    },
  };
}

function unreachable(root: URL, why: string, cause: unknown): OverlayError {
  return new OverlayError('unreachable', `the server at ${root.host} does not answer (${why})`, {
    remedy: 'containers keep what they have; see that hawser server runs and can be reached',
    cause,
  });
}

/** Status 5xx, 408 and 429 are about the moment. */
function refusal(root: URL, status: number, text: string): OverlayError {
  let kind = 'unknown';
  let message = `HTTP ${status}`;
  try {
    ({kind, message} = parseJson(ErrorAnswer, text, 'the error'));
  } catch {
    // Not an answer of ours: the status says it all.
  }
  if (status >= 500 || status === 408 || status === 429)
    return new OverlayError('unreachable', `the server at ${root.host} failed: ${message}`, {
      context: {kind},
    });
  return new OverlayError('refused', message, {context: {kind}});
}
