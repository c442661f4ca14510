/** moto's server: the AWS APIs on loopback, for tests that need one. Nothing reaches AWS. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {access} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {ExecutionContext} from 'ava';
import {freePort} from './ports.ts';

const START_TRIES = 600;

/** Its address; it ends with the test. Undefined, and said, where it is not installed: the test is then over. */
export async function startMoto(t: ExecutionContext): Promise<string | undefined> {
  const program = await findProgram('moto_server');
  if (program === undefined) {
    t.log('SKIPPED: moto_server is not installed (PyPI: moto[server]==5.2.1)');
    t.pass();
    return undefined;
  }
  const port = await freePort();
  const child = spawn(program, ['-H', '127.0.0.1', '-p', String(port)], {stdio: 'ignore', detached: true});
  const ended = once(child, 'exit');
  t.teardown(async () => {
    // The program may be a script around the interpreter: the group is ours.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < START_TRIES; tries++) {
    if (child.exitCode !== null) throw new Error(`moto_server ended with ${child.exitCode}`);
    if (await answers(`${url}/moto-api/`)) return url;
    await delay(100);
  }
  throw new Error('moto_server does not answer');
}

/** Read to its end: Node's fetch does not bear that a server closes a connection whose answer nobody reads. */
async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url);
    await answer.text();
    return answer.ok;
  } catch {
    return false;
  }
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
