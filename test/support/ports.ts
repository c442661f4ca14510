/** Ports of loopback. */
import {randomInt} from 'node:crypto';
import {createServer} from 'node:net';

/**
 * A port that was free a moment ago: below those that the kernel gives to outgoing connections (from 32768), so that
 * none of them takes it before its server does, and drawn at random, so that tests running beside each other differ.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(12_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no port of loopback is free');
}

/** Whether nobody listens on it. */
export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({host: '127.0.0.1', port}, () => server.close(() => resolve(true)));
  });
}
