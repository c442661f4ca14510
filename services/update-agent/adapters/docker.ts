/** Docker's API over its socket: only the calls used. */
import {request} from 'node:http';
import {UpdateAgentError} from '../errors.ts';
import {readBody} from '../../common/machine-http.ts';

const MAX_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

export interface DockerApi {
  /** Throws {@link UpdateAgentError}: `unreachable` when Docker does not answer, `refused` for a status of 4xx or 5xx. */
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

export function dockerApi(socketPath: string): DockerApi {
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const answer = await new Promise<{status: number; body: Buffer}>((resolve, reject) => {
      const outgoing = request(
        {
          socketPath,
          method,
          path,
          headers:
            json === undefined
              ? {}
              : {'content-type': 'application/json', 'content-length': Buffer.byteLength(json)},
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
        incoming => {
          void readBody(incoming, MAX_BYTES).then(
            read => resolve({status: incoming.statusCode ?? 0, body: read}),
            reject,
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(json);
    }).catch((error: unknown) => {
      throw new UpdateAgentError('unreachable', 'Docker does not answer', {
        remedy: 'see systemctl status docker',
        cause: error,
      });
    });
    const text = answer.body.toString('utf8');
    if (answer.status >= 400) {
      throw new UpdateAgentError('refused', `Docker answers ${answer.status}: ${text.slice(0, 300)}`);
    }
    return text === '' ? undefined : JSON.parse(text);
  };
  return {get: path => call('GET', path), post: (path, body) => call('POST', path, body)};
}
