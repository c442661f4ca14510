/** The ledger on disk: `ledger.jsonl`, appended and fsynced entry by entry. */
import {open, readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {syncFolder} from '../../services/common/fs-atomic.ts';
import {systemErrorCode} from '../../services/common/errors.ts';
import {parseLedger} from './ledger.ts';
import type {LedgerEntry, ParsedLedger} from './ledger.ts';

/** An absent ledger is an empty one. */
export async function readLedger(path: string): Promise<ParsedLedger> {
  try {
    return parseLedger(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {entries: [], wholeBytes: 0};
    throw error;
  }
}

/**
 * Appends one entry durably. The caller holds the machine's lock. `wholeBytes` is where the last whole line ends:
 * what a crash left behind it is cut off. Returns the new end.
 */
export async function appendLedger(path: string, wholeBytes: number, entry: LedgerEntry): Promise<number> {
  const line = Buffer.from(`${JSON.stringify(entry)}\n`);
  const file = await open(path, wholeBytes === 0 ? 'w' : 'r+', 0o600);
  try {
    await file.truncate(wholeBytes);
    await file.write(line, 0, line.length, wholeBytes);
    await file.sync();
  } finally {
    await file.close();
  }
  if (wholeBytes === 0) await syncFolder(dirname(path));
  return wholeBytes + line.length;
}
