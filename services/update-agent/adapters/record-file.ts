/** The machine's memory on disk. The old release reads what the new one wrote: fields are added, never changed. */
import {mkdir, readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {systemErrorCode} from '../../common/errors.ts';
import {writeFileAtomic} from '../../common/fs-atomic.ts';
import {parseJson, ParseError} from '../../common/parse.ts';
import {UpdateAgentError} from '../errors.ts';
import type {RecordPort} from '../ports.ts';
import {AgentRecord, emptyRecord} from '../record.ts';

export function recordFile(path: string): RecordPort {
  return {
    async load() {
      let text: string;
      try {
        text = await readFile(path, 'utf8');
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return emptyRecord();
        throw error;
      }
      try {
        return parseJson(AgentRecord, text, path);
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
        const newer = /"schema":\s*([2-9]|\d\d)/.test(text);
        // Starting anew would forget what failed here, and try it again.
        throw new UpdateAgentError(newer ? 'newer-record' : 'bad-record', error.message, {
          remedy: newer
            ? 'a newer release wrote it: go on to that release, or remove the file'
            : 'remove it; what failed on this machine is then forgotten',
          cause: error,
        });
      }
    },
    async save(record) {
      await mkdir(dirname(path), {recursive: true, mode: 0o700});
      await writeFileAtomic(path, `${JSON.stringify(record)}\n`, 0o600);
    },
  };
}
