/**
 * The one error shape of the project. Each part derives its own class with a closed union of codes.
 */

/** Options of {@link HawserError}: `remedy` is what the operator can do about it, in one sentence. */
export interface ErrorDetail {
  readonly remedy?: string;
  readonly cause?: unknown;
  readonly context?: Readonly<Record<string, unknown>>;
}

/**
 * Base of every error that a part throws on purpose. `code` comes from the part's closed set, `message` says
 * what happened, `remedy` what to do. The command line prints `message: remedy` on one line and exits 1.
 */
export abstract class HawserError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly remedy: string | undefined;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: Code, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : {cause: detail.cause});
    this.name = new.target.name;
    this.code = code;
    this.remedy = detail.remedy;
    this.context = detail.context ?? {};
  }
}

/** The text that a person is shown for any thrown value: one line, the remedy included. */
export function describeError(error: unknown): string {
  if (error instanceof HawserError) {
    return error.remedy === undefined ? error.message : `${error.message}: ${error.remedy}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `EADDRINUSE`, ...), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** What a file operation gives, or undefined when the file or folder is not there. Throws what it throws otherwise. */
export async function unlessMissing<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
