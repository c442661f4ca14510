/** One call to a machine's Docker by mutual TLS; the certificate must carry `servername`, whatever address is called. */
import {request} from 'node:https';

export interface DockerEndpoint {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  readonly ca: Uint8Array;
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

export interface DockerCall {
  readonly path: string;
  /** GET when absent. */
  readonly method?: string;
  readonly contentType?: string;
  readonly body?: Uint8Array;
  /** Only 200 when absent. */
  readonly okCodes?: readonly number[];
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const MAX_ANSWER_BYTES = 1 << 20;

export interface DockerAnswer {
  readonly status: number;
  readonly body: string;
}

/** The answer's text. Rejects when Docker answers another code than `okCodes`, too much, or not in time. */
export async function callDocker(endpoint: DockerEndpoint, call: DockerCall): Promise<string> {
  const {status, body} = await askDocker(endpoint, call);
  if ((call.okCodes ?? [200]).includes(status)) return body;
  throw new Error(`Docker answered ${status}${detail(call.method ?? 'GET', call.path, body)}`);
}

/** Whatever the status, it is the answer. Rejects when none came, or too much, or not in time. */
export function askDocker(
  endpoint: DockerEndpoint,
  call: Omit<DockerCall, 'okCodes'>,
): Promise<DockerAnswer> {
  const {path, method = 'GET', contentType, body, signal} = call;
  const limit = AbortSignal.timeout(call.timeoutMs);
  const {host, port, servername} = endpoint;
  const [ca, cert, key] = [endpoint.ca, endpoint.cert, endpoint.key].map(one => Buffer.from(one));
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        servername,
        ca,
        cert,
        key,
        method,
        path,
        agent: false,
        headers: {
          ...(contentType === undefined ? {} : {'content-type': contentType}),
          ...(method === 'GET' ? {} : {'content-length': body?.length ?? 0}),
        },
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      },
      response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_ANSWER_BYTES) outgoing.destroy(new Error('the answer is too long'));
        });
        response.on('error', reject);
        response.on('end', () => resolve({status: response.statusCode ?? 0, body: text}));
      },
    );
    outgoing.on('error', error =>
      reject(limit.aborted ? new Error('no answer in time', {cause: error}) : error),
    );
    outgoing.end(body);
  });
}

/** A question has its answer in the code; of a change that was refused, the reason is in the text. */
function detail(method: string, path: string, text: string): string {
  return method === 'GET' ? '' : ` to ${method} ${path}: ${text.slice(0, 300)}`;
}
