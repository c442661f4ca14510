/** Enrols a machine: checks its request, books the certificate, and only then lets it out. */
import {grantMac, normalizeHostKey} from '../../common/enrolment-mac.ts';
import {EnrolmentRequest, type EnrolmentGrant} from '../../common/contracts/enrolment.ts';
import {parseJson, ParseError} from '../../common/parse.ts';
import type {Authority} from './authority.ts';
import {EnrolmentError} from './errors.ts';
import {judge, unknownMachine, withIssued} from './ledger.ts';
import type {EnrolmentStore} from './ports.ts';
import {deriveToken, isAuthentic} from './token.ts';

/** How often a lost race for the ledger is run again; every loss means that somebody else has won. */
const MAX_ATTEMPTS = 10;

export interface EnrolDeps {
  readonly store: EnrolmentStore;
  readonly authority: Pick<Authority, 'prove' | 'signMachine' | 'fleetCa' | 'operatorsCa'>;
  /** The 32 bytes that every token derives from. */
  readonly tokenKey: Uint8Array;
  /** Seconds since the epoch. */
  now(): number;
}

/** Reads a request at the edge. Throws `malformed`. */
export function parseRequest(json: string): EnrolmentRequest {
  try {
    return parseJson(EnrolmentRequest, json, 'the enrolment request');
  } catch (error) {
    if (error instanceof ParseError) throw new EnrolmentError('malformed', error.message, {cause: error});
    throw error;
  }
}

/**
 * The grant for `request`. `extraNames` go into the certificate beside those booked with the token. Retry-safe: the
 * same key gets the same certificate. Throws `unknown-machine`, `bad-mac`, `token-used`, `token-expired`, `bad-csr`,
 * `weak-key`, `bad-name`, `malformed` or `store-busy`.
 */
export async function enrol(
  request: EnrolmentRequest,
  deps: EnrolDeps,
  extraNames: readonly string[] = [],
): Promise<EnrolmentGrant> {
  const {machine, generation} = request;
  const token = deriveToken(deps.tokenKey, machine, generation);
  // Both are found out before either is told: a stranger cannot learn by the time taken which machines exist.
  const authentic = isAuthentic(token, request);
  const known = (await deps.store.read(machine)) !== undefined;
  if (!known) throw unknownMachine();
  if (!authentic) {
    throw new EnrolmentError('bad-mac', "the request was not made with this machine's token", {
      remedy: 'check that the machine booted with the configuration that was made for it',
    });
  }
  const sshHostKey = normalizeHostKey(request.sshHostKey);
  if (sshHostKey === undefined) throw new EnrolmentError('malformed', 'the SSH host key cannot be read');
  // Parsing a request costs more than its MAC, so it comes after.
  const key = await deps.authority.prove(request.csr);

  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const stored = await deps.store.read(machine);
    const requester = {publicKey: key.fingerprint, sshHostKey};
    const verdict = judge(stored?.record, request, requester, deps.now());
    if (verdict.kind === 'again') return seal(token, request, verdict.certificate, deps);

    const certificate = await deps.authority.signMachine({
      key,
      machine,
      name: verdict.token.name,
      extraNames: [...verdict.token.names, ...extraNames],
    });
    if (stored === undefined) continue;
    const booked = withIssued(stored.record, generation, {...requester, certificate, at: deps.now()});
    // Booked before it is handed out: a certificate that lost the race never leaves this function.
    if (await deps.store.write(booked, stored.version)) return seal(token, request, certificate, deps);
  }
  throw new EnrolmentError('store-busy', 'the enrolment ledger is being changed by others', {
    remedy: 'try again',
  });
}

function seal(
  token: string,
  request: EnrolmentRequest,
  certificate: string,
  deps: EnrolDeps,
): EnrolmentGrant {
  const grant = {
    machine: request.machine,
    generation: request.generation,
    certificate,
    ca: deps.authority.operatorsCa,
    fleetCa: deps.authority.fleetCa,
  };
  return {...grant, mac: grantMac(token, grant)};
}
