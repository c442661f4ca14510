/** `collect.ts ETCD,...`: prints every version of the group's key that etcd has kept, oldest first, then ends. */
import {Etcd3} from 'etcd3';
import {encodeLock} from '../../../services/reboot-lock/record.ts';
import {lockPrefix} from '../../../services/reboot-lock/snapshot.ts';
import {group} from './group.ts';
import type {Write} from './history.ts';

const client = new Etcd3({hosts: (process.argv[2] ?? '').split(',')});
const key = `${lockPrefix}${group}`;
// The last change is known by this one, which changes nothing else.
const last = await client.put(`${key}-end`).value(encodeLock({group: `${group}-end`, holders: []}));
const writes: Write[] = [];
const watcher = await client.watch().prefix(key).startRevision('1').create();
await new Promise<void>((resolve, reject) => {
  watcher.on('error', reject);
  watcher.on('put', put => {
    if (put.key.toString() === key) {
      const {holders} = JSON.parse(put.value.toString()) as Pick<Write, 'holders'>;
      writes.push({revision: put.mod_revision, holders});
    }
    if (put.mod_revision === last.header.revision) resolve();
  });
});
for (const write of writes) process.stdout.write(`${JSON.stringify(write)}\n`);
await watcher.cancel();
client.close();
