/** One request to a server that nobody vouches for yet; what it answers is only used once its digest is known. */
import {request} from 'node:https';
import {ServerClientError} from '../../common/server-client.ts';

const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 15_000;

export function fetchUntrusted(url: URL, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {signal, timeout: TIMEOUT_MS, agent: false, rejectUnauthorized: false},
      incoming => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_BYTES) incoming.destroy(new Error('the answer is too large'));
        });
        incoming.on('error', reject);
        incoming.on('end', () => resolve(text));
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', error =>
      reject(
        new ServerClientError('server-unreachable', `${url.origin} cannot be reached: ${error.message}`, {
          cause: error,
        }),
      ),
    );
    outgoing.end();
  });
}
