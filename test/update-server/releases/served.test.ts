/** What the server does with a repository: it lists, and keeps signatures fresh with the online keys alone. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {openServedRepository} from '../../../services/update-server/releases/served.ts';
import {machine} from './clients.ts';
import {bench, DAY} from './support.ts';

test('a server without offline keys keeps a fleet supplied for months, and cannot publish', async t => {
  const b = await bench(t);
  await b.publish('1.0.0');
  await rm(join(b.home, 'release-keys'), {recursive: true});
  const clock = {now: () => b.time.now, sleep: () => Promise.reject(new Error('nothing here sleeps'))};
  const served = openServedRepository(b.repository, clock);
  const never = new AbortController().signal;
  t.true(await served.exists());
  t.like(await served.catalogue(), {releases: [{version: '1.0.0'}]});
  const m = await machine(b);
  const signed = new Map<string, number>();
  for (let hour = 0; hour < 24 * 60; hour += 12) {
    b.time.now = new Date(b.time.now.getTime() + DAY / 2);
    for (const role of (await served.refresh(never)).signed) signed.set(role, (signed.get(role) ?? 0) + 1);
    if (hour % 240 === 0) t.deepEqual(await m.versions(), ['1.0.0']);
  }
  t.deepEqual(Object.fromEntries(signed), {timestamp: 60, snapshot: 4});
  await t.throwsAsync(b.publish('1.1.0'), {code: 'not-enough-keys'});
  t.false(await openServedRepository(join(b.home, 'nothing'), clock).exists());
});
