/** Where a repository's files are read: a folder, or any web server. Nothing read is believed here. */
import {open} from 'node:fs/promises';
import {join} from 'node:path';
import {systemErrorCode} from '../errors.ts';
import {openGet} from '../http-get.ts';
import {TrustError} from './errors.ts';

/** A repository as its files. `path` is relative to its root, with slashes. */
export interface RepositorySource {
  /** Address or folder, for messages. */
  readonly name: string;
  /**
   * The whole file. Throws {@link TrustError}: `too-large` as soon as it is known to be longer than `maxBytes`,
   * `not-found`, `refused`, `unreachable`.
   */
  read(path: string, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** One HTTP GET: at most `maxBytes` of body. Replaced where client certificates or an own CA are needed. */
export type HttpGet = (
  url: URL,
  maxBytes: number,
  signal: AbortSignal | undefined,
) => Promise<{readonly status: number; readonly body: Uint8Array}>;

/** A folder of this machine. */
export function folderSource(folder: string): RepositorySource {
  return {
    name: folder,
    read: async (path, maxBytes) => {
      try {
        await using file = await open(join(folder, path), 'r');
        const {size} = await file.stat();
        if (size > maxBytes) throw tooLarge(`${folder}/${path}`, maxBytes);
        return await file.readFile();
      } catch (error) {
        if (error instanceof TrustError) throw error;
        const code = systemErrorCode(error);
        if (code === 'ENOENT' || code === 'ENOTDIR')
          throw new TrustError('not-found', `${folder} has no ${path}`, {cause: error});
        throw new TrustError('unreachable', `${folder}/${path} cannot be read (${code ?? 'error'})`, {
          cause: error,
        });
      }
    },
  };
}

/** A web server; `base` is the address of the repository's root. */
export function httpSource(base: string, get: HttpGet = httpGet): RepositorySource {
  const root = new URL(base.endsWith('/') ? base : `${base}/`);
  return {
    name: root.href,
    read: async (path, maxBytes, signal) => {
      const url = new URL(path.split('/').map(encodeURIComponent).join('/'), root);
      const {status, body} = await get(url, maxBytes, signal);
      if (status === 200) return body;
      // Object stores answer 403 for what is not there to callers who may not list.
      if (status === 404 || status === 403 || status === 410)
        throw new TrustError('not-found', `${url.href} is not there (HTTP ${status})`);
      throw new TrustError('refused', `${url.href} was refused (HTTP ${status})`);
    },
  };
}

/** Without a byte, and for one whole file of metadata or manifest. */
const STALL_MS = 30_000;
const TOTAL_MS = 120_000;

/** The {@link HttpGet} of everybody who needs neither a client certificate nor an own CA. */
export async function httpGet(
  url: URL,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<{status: number; body: Uint8Array}> {
  const total = AbortSignal.timeout(TOTAL_MS);
  const limit = signal === undefined ? total : AbortSignal.any([total, signal]);
  try {
    const answer = await openGet(url, {signal: limit, stallMs: STALL_MS});
    const {statusCode: status = 0} = answer;
    if (status !== 200) {
      answer.destroy();
      return {status, body: new Uint8Array()};
    }
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of answer) {
      const bytes: Buffer = Buffer.from(chunk);
      length += bytes.length;
      // Leaving the loop ends the connection: an endless answer costs `maxBytes` and no more.
      if (length > maxBytes) throw tooLarge(url.href, maxBytes);
      chunks.push(bytes);
    }
    return {status, body: Buffer.concat(chunks)};
  } catch (error) {
    if (error instanceof TrustError) throw error;
    signal?.throwIfAborted();
    throw new TrustError('unreachable', `${url.href} does not answer (${reason(error)})`, {
      remedy: 'check the address, the network and the server',
      cause: error,
    });
  }
}

export function tooLarge(what: string, maxBytes: number): TrustError {
  return new TrustError('too-large', `${what} is longer than the ${maxBytes} bytes that it may have`);
}

function reason(error: unknown): string {
  return systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
}
