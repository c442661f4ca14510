/** HTTPS as this machine: its certificate, the fleet's CA and no other. Every answer is bounded in size and time. */
import {Agent, request as httpsRequest} from 'node:https';
import type {IncomingMessage} from 'node:http';
import {systemErrorCode} from './errors.ts';

export interface MachineTls {
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
  /** Looked for in the server's certificate, whatever address was dialled. */
  readonly serverName: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;

export interface MachineHttp {
  /** Rejects with what the network says when there is no answer; any status is an answer. */
  post(url: URL, body: unknown): Promise<HttpAnswer>;
  /** The headers of the answer; the caller reads the body to its end, or destroys it. */
  open(url: URL, headers: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

export function machineHttp(tls: MachineTls): MachineHttp {
  // Kept alive for the length of a run: a handshake costs more than the request.
  const agent = new Agent({
    keepAlive: true,
    key: tls.key,
    cert: tls.certificate,
    ca: tls.ca,
    servername: tls.serverName,
    maxSockets: 8,
  });
  return {
    post: (url, body) => {
      const json = JSON.stringify(body);
      return new Promise((resolve, reject) => {
        const outgoing = httpsRequest(
          url,
          {
            method: 'POST',
            agent,
            headers: {'content-type': 'application/json', 'content-length': Buffer.byteLength(json)},
            signal: AbortSignal.timeout(TIMEOUT_MS),
          },
          incoming => {
            void readBody(incoming, MAX_ANSWER_BYTES).then(
              read => resolve({status: incoming.statusCode ?? 0, body: read}),
              reject,
            );
          },
        );
        outgoing.on('error', reject);
        outgoing.end(json);
      });
    },
    open: (url, headers, signal) =>
      new Promise((resolve, reject) => {
        const outgoing = httpsRequest(
          url,
          {agent, headers, ...(signal === undefined ? {} : {signal})},
          resolve,
        );
        // Of silence, not of the whole: a slow link may take its time.
        outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(new Error('no data came for 30 s')));
        outgoing.on('error', reject);
        outgoing.end();
      }),
    close: () => agent.destroy(),
  };
}

/** The body of an answer. Throws when it is longer than `maxBytes`, or cut short. */
export async function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    const bytes: Buffer = Buffer.from(chunk);
    length += bytes.length;
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The code (ECONNREFUSED, CERT_HAS_EXPIRED) says enough; Node's text suggests trusting other CAs. */
export function networkReason(error: unknown): string {
  return systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
}
