/** Reading and writing of small binary tables: unsigned LEB128 numbers and byte strings. */
import {PayloadError} from './errors.ts';

export interface ByteWriter {
  number(value: number): void;
  bytes(value: Uint8Array): void;
  /** Everything written so far. */
  take(): Uint8Array;
}

export function createWriter(): ByteWriter {
  let buffer = new Uint8Array(1 << 12);
  let at = 0;
  const room = (more: number) => {
    if (at + more <= buffer.length) return;
    const larger = new Uint8Array(Math.max(buffer.length * 2, at + more));
    larger.set(buffer.subarray(0, at));
    buffer = larger;
  };
  return {
    number: value => {
      room(8);
      let rest = value;
      for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 128;
      buffer[at++] = rest;
    },
    bytes: value => {
      room(value.length);
      buffer.set(value, at);
      at += value.length;
    },
    take: () => new Uint8Array(buffer.subarray(0, at)),
  };
}

export interface ByteReader {
  number(): number;
  bytes(length: number): Uint8Array;
  readonly ended: boolean;
}

/** Reads what {@link createWriter} wrote. Throws {@link PayloadError} `payload-damaged` at the end of the bytes. */
export function createReader(bytes: Uint8Array, layer: string): ByteReader {
  let at = 0;
  const cutOff = (): never => {
    throw new PayloadError('payload-damaged', `the ${layer} of the payload is cut off`, {context: {layer}});
  };
  return {
    number: () => {
      let value = 0;
      for (let factor = 1; ; factor *= 128) {
        const byte = bytes[at];
        if (byte === undefined || factor > 2 ** 49) return cutOff();
        at += 1;
        value += (byte & 127) * factor;
        if (byte < 128) return value;
      }
    },
    bytes: length => {
      if (at + length > bytes.length) return cutOff();
      at += length;
      return bytes.subarray(at - length, at);
    },
    get ended() {
      return at === bytes.length;
    },
  };
}
