/** What survives a restart, in one folder. A file that cannot be read is set aside, and said so. */
import {mkdir, readFile, rename} from 'node:fs/promises';
import {join} from 'node:path';
import type {Static, TSchema} from 'typebox';
import {systemErrorCode} from '../../common/errors.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {parseJson, ParseError} from '../../common/parse.ts';
import type {AgentLog, AgentStore} from '../ports.ts';
import {AgentRecord, emptyRecord} from '../record.ts';
import {StoredState} from '../state.ts';

export async function fileStore(folder: string, log: AgentLog): Promise<AgentStore> {
  await mkdir(folder, {recursive: true, mode: 0o700});
  const [record, state] = [join(folder, 'record.json'), join(folder, 'state.json')];
  return {
    loadRecord: async () => (await load(AgentRecord, record, log)) ?? emptyRecord,
    saveRecord: value => writeFileAtomic(record, JSON.stringify(value)),
    loadState: () => load(StoredState, state, log),
    saveState: value => writeFileAtomic(state, JSON.stringify(value)),
  };
}

async function load<Schema extends TSchema>(
  schema: Schema,
  path: string,
  log: AgentLog,
): Promise<Static<Schema> | undefined> {
  try {
    return parseJson(schema, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    if (!(error instanceof ParseError)) throw error;
    log.error({err: error}, `${path} cannot be read: it is set aside as ${path}.damaged`);
    await rename(path, `${path}.damaged`);
    return undefined;
  }
}
