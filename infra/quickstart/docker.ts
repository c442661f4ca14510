/** The few calls to a machine's Docker that the quickstart makes, over mutual TLS. */
import {callDocker, type DockerEndpoint} from '../../machine-drivers/docker/call.ts';

export type {DockerEndpoint} from '../../machine-drivers/docker/call.ts';

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
  environment: readonly string[],
  port: number,
): Promise<void> {
  await removeContainer(endpoint, name);
  const specification = {
    Image: image,
    Cmd: command,
    Env: environment,
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

/** Fine when there is none. */
export async function removeContainer(endpoint: DockerEndpoint, name: string): Promise<void> {
  await call(endpoint, 'DELETE', `/containers/${name}?force=true`, undefined, undefined, [204, 404]);
}

/** Makes a Swarm service by its manager; one of the same name stays as it is (409). */
export async function createService(endpoint: DockerEndpoint, specification: object): Promise<void> {
  const body = Buffer.from(JSON.stringify(specification));
  await call(endpoint, 'POST', '/services/create', 'application/json', body, [201, 409]);
}

async function call(
  endpoint: DockerEndpoint,
  method: string,
  path: string,
  contentType?: string,
  body?: Buffer,
  okCodes: readonly number[] = [200, 201, 204],
): Promise<void> {
  await callDocker(endpoint, {
    method,
    path: `/v1.41${path}`,
    okCodes,
    timeoutMs: CALL_TIMEOUT_MS,
    ...(contentType === undefined ? {} : {contentType}),
    ...(body === undefined ? {} : {body}),
  });
}
