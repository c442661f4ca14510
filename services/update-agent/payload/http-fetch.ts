/** {@link RepositoryFetch} over node:http and node:https: one kept-alive connection to each repository. */
import {Agent as HttpAgent, request as httpRequest, type IncomingMessage} from 'node:http';
import {Agent as HttpsAgent, request as httpsRequest, type AgentOptions} from 'node:https';
import type {RepositoryFetch} from '../../common/payload/ports.ts';

export interface HttpFetch {
  readonly fetch: RepositoryFetch;
  /** Closes the connections. */
  close(): void;
}

/** A server that sends nothing for so long is taken for gone. */
const SILENCE_MS = 30_000;

/** `tls`: CA, key and certificate of this machine, where the repository asks for them. */
export function createHttpFetch(
  tls: Pick<AgentOptions, 'ca' | 'key' | 'cert' | 'servername'> = {},
): HttpFetch {
  const options = {keepAlive: true, maxSockets: 2};
  const http = new HttpAgent(options);
  const https = new HttpsAgent({...options, ...tls});
  return {
    fetch: ({url, range, signal}) =>
      new Promise((resolve, reject) => {
        const secure = url.startsWith('https:');
        const headers = range === undefined ? {} : {range: `bytes=${range.first}-${range.last}`};
        const answer = (message: IncomingMessage) => {
          message.setTimeout(SILENCE_MS, () =>
            message.destroy(new Error('the server sends nothing any more')),
          );
          resolve({
            status: message.statusCode ?? 0,
            headers: Object.fromEntries(
              Object.entries(message.headers).map(([name, value]) => [
                name,
                Array.isArray(value) ? value[0] : value,
              ]),
            ),
            body: message,
          });
        };
        const request = secure
          ? httpsRequest(url, {agent: https, headers, signal}, answer)
          : httpRequest(url, {agent: http, headers, signal}, answer);
        request.setTimeout(SILENCE_MS, () => request.destroy(new Error('the server does not answer')));
        request.on('error', reject);
        request.end();
      }),
    close: () => {
      http.destroy();
      https.destroy();
    },
  };
}
