/** The messages by which a machine gets its certificates, over HTTPS or carried by the command line over SSH. */
import {Type, type Static} from 'typebox';

export {machineServerName} from '../enrolment-mac.ts';

const Uuid = Type.String({pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'});
/** HMAC-SHA256 keyed with the enrolment token, lower-case hex. */
const Mac = Type.String({pattern: '^[0-9a-f]{64}$'});

/** `/etc/hawser/enrolment.json` (0600), written by Ignition and removed once the machine is enrolled. */
export const EnrolmentConfig = Type.Object({
  machine: Uuid,
  name: Type.String({minLength: 1, maxLength: 64}),
  generation: Type.Integer({minimum: 1}),
  /** 32 bytes, base64url: HKDF of the store key, machine UUID and generation. Single use. */
  token: Type.String({pattern: '^[A-Za-z0-9_-]{43}$'}),
  /** Seconds since the epoch after which the token is refused. */
  expires: Type.Integer({minimum: 0}),
  /** Where the machine may enrol by itself; absent when the command line comes for the request over SSH. */
  server: Type.Optional(
    Type.Object({url: Type.String({maxLength: 2048}), ca: Type.String({maxLength: 16384})}),
  ),
});
export type EnrolmentConfig = Static<typeof EnrolmentConfig>;

/** `/run/hawser/enrolment-request.json`, or the body of `POST /v1/enrol`. */
export const EnrolmentRequest = Type.Object({
  machine: Uuid,
  generation: Type.Integer({minimum: 1}),
  /** PKCS#10, PEM. */
  csr: Type.String({maxLength: 8192}),
  /** The machine's public SSH host key, as in `ssh_host_ed25519_key.pub` without comment. */
  sshHostKey: Type.String({maxLength: 1024}),
  mac: Mac,
});
export type EnrolmentRequest = Static<typeof EnrolmentRequest>;

/**
 * The answer; over SSH it is given to `hawser-enrol accept` on standard input. Machines and operators have separate
 * CAs: a machine's certificate must never open another machine's Docker.
 */
export const EnrolmentGrant = Type.Object({
  machine: Uuid,
  generation: Type.Integer({minimum: 1}),
  certificate: Type.String({maxLength: 16384}),
  /** PEM of the operators' CA, that Docker's clients are checked against. */
  ca: Type.String({maxLength: 16384}),
  /** PEM of the fleet's CA, which signed `certificate` and the certificates of Hawser's servers. */
  fleetCa: Type.String({maxLength: 16384}),
  mac: Mac,
});
export type EnrolmentGrant = Static<typeof EnrolmentGrant>;
