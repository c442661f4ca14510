/** Where everything lies on a machine, under one root so that a test can have its own. */
import {join} from 'node:path';

export interface Layout {
  /** Written by Ignition (0600); holds the token, so it goes away once the machine is enrolled. */
  readonly config: string;
  readonly sshHostKey: string;
  readonly request: string;
  readonly key: string;
  readonly certificate: string;
  /** The operators' CA: dockerd's `--tlscacert`. */
  readonly clientCa: string;
  /** A link to dockerd's TLS options in the image, there only when the files that they name are there too. */
  readonly dockerOptions: string;
  /** The fleet's CA, for calls to Hawser's servers. */
  readonly fleetCa: string;
  readonly enrolled: string;
}

/** Target of {@link Layout.dockerOptions}: part of the image, so an update may change the options. */
export const DOCKER_OPTIONS = '/usr/lib/hawser/docker-tls.env';

/** The layout under `root`, which is `/` on a machine. */
export function layoutUnder(root: string): Layout {
  return {
    config: join(root, 'etc/hawser/enrolment.json'),
    sshHostKey: join(root, 'etc/ssh/ssh_host_ed25519_key.pub'),
    request: join(root, 'run/hawser/enrolment-request.json'),
    key: join(root, 'etc/docker/tls/server-key.pem'),
    certificate: join(root, 'etc/docker/tls/server.pem'),
    clientCa: join(root, 'etc/docker/tls/ca.pem'),
    dockerOptions: join(root, 'etc/docker/tls/options.env'),
    fleetCa: join(root, 'etc/hawser/fleet-ca.pem'),
    enrolled: join(root, 'var/lib/hawser/enrolled.json'),
  };
}
