/** Records of clusters below `<home>/clusters/<name>/`. */
import {mkdir, readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode, unlessMissing} from '../../../common/errors.ts';
import {createFileOnce, writeFileAtomic} from '../../../common/fs-atomic.ts';
import {parseJson} from '../../../common/parse.ts';
import {ClusterError} from '../errors.ts';
import type {ClusterStore} from '../ports.ts';
import {ClusterRecord, checkClusterName} from '../record.ts';

export function createClusterStore(home: string): ClusterStore {
  const folder = (name: string) => {
    checkClusterName(name);
    return join(home, 'clusters', name);
  };
  const file = (name: string) => join(folder(name), 'cluster.json');
  const text = (record: ClusterRecord) => `${JSON.stringify(record, undefined, 2)}\n`;
  return {
    read: async name => {
      const path = file(name);
      try {
        return parseJson(ClusterRecord, await readFile(path, 'utf8'), path);
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return undefined;
        throw new ClusterError('record-damaged', `${path} cannot be used`, {
          remedy: 'restore it from a backup, or use the version of Hawser that wrote it',
          cause: error,
        });
      }
    },
    list: async () => ((await unlessMissing(readdir(join(home, 'clusters')))) ?? []).sort(),
    create: async record => {
      await mkdir(folder(record.name), {recursive: true, mode: 0o700});
      return createFileOnce(file(record.name), text(record));
    },
    write: record => writeFileAtomic(file(record.name), text(record)),
  };
}
