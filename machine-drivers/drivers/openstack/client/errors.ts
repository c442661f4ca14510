/** What a cloud refuses, as one error: each of its services has another envelope for it. Pure. */
import {HawserError} from '../../../../services/common/errors.ts';

export type OpenStackErrorCode =
  | 'bad-cloud-config'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'quota'
  | 'refused'
  | 'unreachable'
  | 'unavailable'
  | 'bad-answer';

export class OpenStackError extends HawserError<OpenStackErrorCode> {}

export interface Refusal {
  readonly status: number;
  /** The body as text. */
  readonly body: string;
  readonly requestId: string | undefined;
}

/** Makes the error for an answer that says no. `call` names what was asked, for instance `POST /servers`. */
export function refusalError(call: string, refusal: Refusal): OpenStackError {
  const {status, requestId} = refusal;
  const {kind, message} = readEnvelope(refusal.body);
  const said = message === '' ? `HTTP ${status}` : message;
  return new OpenStackError(codeOf(status, kind, message), `${said} (${call}${idOf(requestId)})`, {
    context: {status, kind},
  });
}

/** The service's own word for the refusal (`OverQuota`, `itemNotFound`), where it has one. */
export function refusalKind(error: unknown): string {
  const kind = error instanceof OpenStackError ? error.context['kind'] : undefined;
  return typeof kind === 'string' ? kind : '';
}

export function hasCode(error: unknown, ...codes: readonly OpenStackErrorCode[]): boolean {
  return error instanceof OpenStackError && codes.includes(error.code);
}

function codeOf(status: number, kind: string, message: string): OpenStackErrorCode {
  // Nova says 403, Neutron 409, Glance and Cinder 413.
  if ((status === 403 || status === 413) && /quota|limit exceeded/i.test(`${kind} ${message}`))
    return 'quota';
  if (status === 409 && kind === 'OverQuota') return 'quota';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 409) return 'conflict';
  return status >= 500 || status === 429 || status === 413 ? 'unavailable' : 'refused';
}

/**
 * Keystone `{error: {message}}`; Glance `{message, title}` with HTML in it; Nova one key that names the kind; Neutron
 * `{NeutronError: {type, message}}`; anything else (a proxy's HTML page) gives its text.
 */
function readEnvelope(body: string): {kind: string; message: string} {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return {kind: '', message: plain(body)};
  }
  if (!isObject(parsed)) return {kind: '', message: ''};
  if (typeof parsed['message'] === 'string') {
    return {kind: textOf(parsed['title']), message: plain(parsed['message'])};
  }
  const [name = '', inner] = Object.entries(parsed)[0] ?? [];
  if (typeof inner === 'string') return {kind: name, message: plain(inner)};
  if (!isObject(inner)) return {kind: name, message: ''};
  const kind = textOf(inner['type']) || (name === 'error' ? textOf(inner['title']) : name);
  return {kind, message: plain(textOf(inner['message']))};
}

const LONGEST = 300;

/**
 * One line without tags. Nova repeats the value that it did not like, and that may be the whole user data with its
 * token: what follows `Value:` is left out.
 */
function plain(text: string): string {
  const line = text
    .replace(/ ?Value: [^]*$/, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

function idOf(requestId: string | undefined): string {
  return requestId === undefined ? '' : `, ${requestId}`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
