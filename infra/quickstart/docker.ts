/** The four calls to a machine's Docker that the quickstart makes, over mutual TLS. */
import {request} from 'node:https';

export interface DockerEndpoint {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CALL_TIMEOUT_MS = 120_000;

/** Makes an image of a root file system given as a tar archive. */
export async function importImage(endpoint: DockerEndpoint, name: string, archive: Buffer): Promise<void> {
  await call(
    endpoint,
    'POST',
    `/images/create?fromSrc=-&repo=${encodeURIComponent(name)}`,
    'application/x-tar',
    archive,
  );
}

/** Replaces the container `name` and starts it; `port` is published under the same number. */
export async function runContainer(
  endpoint: DockerEndpoint,
  name: string,
  image: string,
  command: readonly string[],
  port: number,
): Promise<void> {
  await call(endpoint, 'DELETE', `/containers/${name}?force=true`, undefined, undefined, [204, 404]);
  const specification = {
    Image: image,
    Cmd: command,
    ExposedPorts: {[`${port}/tcp`]: {}},
    HostConfig: {
      PortBindings: {[`${port}/tcp`]: [{HostPort: String(port)}]},
      RestartPolicy: {Name: 'unless-stopped'},
    },
  };
  await call(
    endpoint,
    'POST',
    `/containers/create?name=${name}`,
    'application/json',
    Buffer.from(JSON.stringify(specification)),
  );
  await call(endpoint, 'POST', `/containers/${name}/start`, undefined, undefined, [204, 304]);
}

function call(
  endpoint: DockerEndpoint,
  method: string,
  path: string,
  type?: string,
  body?: Buffer,
  okCodes: readonly number[] = [200, 201, 204],
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...endpoint,
        method,
        path: `/v1.41${path}`,
        agent: false,
        headers: {...(type === undefined ? {} : {'content-type': type}), 'content-length': body?.length ?? 0},
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      },
      response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (okCodes.includes(response.statusCode ?? 0)) resolve(text);
          else
            reject(
              new Error(`Docker answered ${response.statusCode} to ${method} ${path}: ${text.slice(0, 300)}`),
            );
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
