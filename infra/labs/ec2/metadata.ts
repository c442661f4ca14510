/** The metadata service of one instance, version 2 alone: no token, no answer. */
import type {RequestListener} from 'node:http';
// The harness lies with the tests.
// oxlint-disable no-restricted-imports
import {serve} from '../../../test/vm/first-boot/local-server.ts';

const ADDRESS = '169.254.169.254';
const TOKEN = 'the-token-of-the-lab';

export interface Described {
  readonly id: string;
  readonly address: string;
  readonly userData: string;
}

/** Returns the `guestfwd=` value by which this instance's emulator, and no other, reaches it. */
export function serveMetadata(options: {
  readonly folder: string;
  readonly instance: Described;
  readonly undo: (work: () => Promise<unknown>) => void;
}): Promise<string> {
  const {folder, instance, undo} = options;
  return serve({folder, teardown: undo}, ADDRESS, 80, answer(instance));
}

function answer({id, address, userData}: Described): RequestListener {
  const facts: Readonly<Record<string, string>> = {
    'instance-id': id,
    'public-ipv4': address,
    'local-hostname': id,
  };
  return ({method = '', url = '', headers}, response) => {
    if (method === 'PUT' && url === '/latest/api/token') {
      const asked = headers['x-aws-ec2-metadata-token-ttl-seconds'];
      if (asked === undefined) response.writeHead(400).end();
      else response.end(TOKEN);
      return;
    }
    if (headers['x-aws-ec2-metadata-token'] !== TOKEN) {
      response.writeHead(401).end();
      return;
    }
    const path = url.replace(/^\/[^/]+\//, '');
    const fact = path === 'user-data' ? userData : facts[path.replace('meta-data/', '')];
    if (fact === undefined) response.writeHead(404).end();
    else response.end(fact);
  };
}
