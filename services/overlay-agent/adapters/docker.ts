/** Docker's API over its socket: only the calls used. */
import {request, type IncomingMessage} from 'node:http';
import {readBody} from '../../common/machine-http.ts';
import {OverlayError} from '../errors.ts';

const MAX_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

export interface DockerApi {
  /** Throws OverlayError `docker`, with the status in the context when there was an answer. */
  call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
  /** Calls `onEvent` for each one, and `onOpen` once they arrive; always throws when the stream ends. */
  events(
    filters: object,
    onOpen: () => void,
    onEvent: (event: unknown) => void,
    signal: AbortSignal,
  ): Promise<never>;
}

export function dockerApi(socketPath: string): DockerApi {
  const open = (
    method: string,
    path: string,
    json: string | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers =
        json === undefined
          ? {}
          : {'content-type': 'application/json', 'content-length': Buffer.byteLength(json)};
      const outgoing = request({socketPath, method, path, headers, agent: false, signal}, resolve);
      outgoing.on('error', reject);
      outgoing.end(json);
    });
  return {
    call: async (method, path, body) => {
      const json = body === undefined ? undefined : JSON.stringify(body);
      let answer: {readonly status: number; readonly text: string};
      try {
        const incoming = await open(method, path, json, AbortSignal.timeout(TIMEOUT_MS));
        answer = {
          status: incoming.statusCode ?? 0,
          text: (await readBody(incoming, MAX_BYTES)).toString('utf8'),
        };
      } catch (error) {
        throw unreachable(error);
      }
      const {status, text} = answer;
      if (status >= 400)
        throw new OverlayError(
          'docker',
          `Docker answers ${status} to ${method} ${path}: ${text.slice(0, 300)}`,
          {
            context: {status},
          },
        );
      return text === '' ? undefined : JSON.parse(text);
    },
    events: async (filters, onOpen, onEvent, signal) => {
      try {
        const path = `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`;
        const incoming = await open('GET', path, undefined, signal);
        if (incoming.statusCode !== 200) throw new Error(`status ${incoming.statusCode}`);
        onOpen();
        let partial = '';
        incoming.setEncoding('utf8');
        for await (const chunk of incoming) {
          const lines = `${partial}${String(chunk)}`.split('\n');
          partial = lines.pop() ?? '';
          for (const line of lines) if (line.trim() !== '') onEvent(JSON.parse(line));
        }
      } catch (error) {
        throw unreachable(error);
      }
      throw unreachable(new Error('Docker ended the stream'));
    },
  };
}

function unreachable(cause: unknown): OverlayError {
  return new OverlayError('docker', 'Docker does not answer', {remedy: 'see systemctl status docker', cause});
}
