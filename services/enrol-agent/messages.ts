/**
 * Reads the messages of services/common/contracts/enrolment.ts by hand: a schema library would double the bundle and
 * the time that it takes to start on a machine under software emulation. A test holds the two against each other.
 */
import type {EnrolmentConfig, EnrolmentGrant} from '../common/contracts/enrolment.ts';
import {EnrolAgentError, type EnrolAgentErrorCode} from './errors.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const MAC = /^[0-9a-f]{64}$/;
const MAX_PEM = 16_384;

/** What is left on the machine once it is enrolled. */
export interface EnrolledRecord {
  readonly machine: string;
  readonly name: string;
  readonly generation: number;
  /** Where Hawser's server is, when the machine was told of one. */
  readonly server?: string;
}

/** Throws `bad-config`. */
export function parseConfig(json: string): EnrolmentConfig {
  const fields = reader(json, 'bad-config', 'the enrolment file');
  const server = fields.optional('server');
  return {
    machine: fields.text('machine', value => UUID.test(value)),
    name: fields.text('name', value => value.length >= 1 && value.length <= 64),
    generation: fields.integer('generation', 1),
    token: fields.text('token', value => TOKEN.test(value)),
    expires: fields.integer('expires', 0),
    ...(server === undefined ? {} : {server: parseServer(server)}),
  };
}

/** Throws `bad-grant`. Whether the grant is genuine is another question. */
export function parseGrant(json: string): EnrolmentGrant {
  const fields = reader(json, 'bad-grant', 'the grant');
  const pem = (value: string) => value.length <= MAX_PEM;
  return {
    machine: fields.text('machine', value => UUID.test(value)),
    generation: fields.integer('generation', 1),
    certificate: fields.text('certificate', pem),
    ca: fields.text('ca', pem),
    fleetCa: fields.text('fleetCa', pem),
    mac: fields.text('mac', value => MAC.test(value)),
  };
}

/** Undefined when the record is not one: the machine then counts as not enrolled. */
export function parseEnrolled(json: string): EnrolledRecord | undefined {
  try {
    const fields = reader(json, 'bad-config', 'the record');
    return {
      machine: fields.text('machine', value => UUID.test(value)),
      name: fields.text('name', () => true),
      generation: fields.integer('generation', 1),
    };
  } catch {
    return undefined;
  }
}

function parseServer(value: unknown): {url: string; ca: string} {
  const fields = reader(JSON.stringify(value), 'bad-config', 'the enrolment file');
  return {
    url: fields.text(
      'url',
      url => url.length <= 2048 && URL.canParse(url) && new URL(url).protocol === 'https:',
    ),
    ca: fields.text('ca', ca => ca.length <= MAX_PEM),
  };
}

function reader(json: string, code: EnrolAgentErrorCode, what: string) {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    // Without the cause: JSON.parse quotes its input, which holds the token.
    throw new EnrolAgentError(code, `${what} is not JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new EnrolAgentError(code, `${what} is not a JSON object`);
  }
  const values = new Map<string, unknown>(Object.entries(parsed));
  const wrong = (name: string) => new EnrolAgentError(code, `${what} has no valid "${name}"`);
  return {
    optional: (name: string): unknown => values.get(name),
    text: (name: string, fits: (value: string) => boolean): string => {
      const value = values.get(name);
      if (typeof value === 'string' && fits(value)) return value;
      throw wrong(name);
    },
    integer: (name: string, minimum: number): number => {
      const value = values.get(name);
      if (typeof value === 'number' && Number.isInteger(value) && value >= minimum) return value;
      throw wrong(name);
    },
  };
}
