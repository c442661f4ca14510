/** The last thing that a machine's console said. */
import {open} from 'node:fs/promises';

const TAIL_BYTES = 4096;

/** The last printable line of a console log, or an empty text when there is none. */
export async function lastConsoleLine(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const {size} = await file.stat();
    const length = Math.min(size, TAIL_BYTES);
    const {buffer} = await file.read(Buffer.alloc(length), 0, length, size - length);
    return lastLine(buffer.toString('utf8'));
  } catch {
    return '';
  }
}

/** Pure part of {@link lastConsoleLine}: terminal escapes and other control characters are dropped. */
export function lastLine(text: string): string {
  const lines = text
    // ECMA-48: CSI sequences, OSC strings, two-character escapes.
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[@-Z\\-_=>78cM])/g, '')
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u0009\u000B-\u001F\u007F]/g, '')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  return (lines.at(-1) ?? '').slice(0, 120);
}
