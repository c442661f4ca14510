/**
 * How far an upload has come, so that the next run sends only what is missing. Losing a line costs a block that is sent
 * again, nothing more, so it is not fsynced.
 */
import {appendFile, mkdir, readFile, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Type, type Static} from 'typebox';
import {systemErrorCode} from '../../../../services/common/errors.ts';
import {sha256} from '../../../../services/common/hash.ts';
import {parseJson} from '../../../../services/common/parse.ts';

const Line = Type.Union([Type.Object({snapshot: Type.String()}), Type.Object({block: Type.Integer()})]);
type Line = Static<typeof Line>;

export interface UploadLog {
  /** Blocks that `snapshot` has. */
  sent(snapshot: string): ReadonlySet<number>;
  /** How many snapshots were begun so far. */
  begun(): number;
  began(snapshot: string): Promise<void>;
  wrote(block: number): Promise<void>;
  forget(): Promise<void>;
}

/** `what` names disk and place. */
export async function openUploadLog(cache: string, what: string): Promise<UploadLog> {
  const path = join(cache, 'publish', `aws-${sha256(what).slice(0, 24)}.jsonl`);
  const lines = await readLines(path);
  const add = (line: Line) => appendFile(path, `${JSON.stringify(line)}\n`);
  return {
    sent: snapshot => {
      const start = lines.findLastIndex(line => 'snapshot' in line && line.snapshot === snapshot);
      if (start === -1) return new Set();
      const rest = lines.slice(start + 1);
      const end = rest.findIndex(line => 'snapshot' in line);
      const own = end === -1 ? rest : rest.slice(0, end);
      return new Set(own.flatMap(line => ('block' in line ? [line.block] : [])));
    },
    begun: () => lines.filter(line => 'snapshot' in line).length,
    began: async snapshot => {
      await mkdir(dirname(path), {recursive: true, mode: 0o700});
      await add({snapshot});
    },
    wrote: block => add({block}),
    forget: () => rm(path, {force: true}),
  };
}

async function readLines(path: string): Promise<Line[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
  // What follows the last newline was cut short by a kill.
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap(line => {
      try {
        return [parseJson(Line, line, path)];
      } catch {
        return [];
      }
    });
}
