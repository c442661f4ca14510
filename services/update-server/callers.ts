/** Who makes a request: a machine by the certificate of this fleet's CA, an operator by a bearer token, else nobody. */
import {TLSSocket} from 'node:tls';
import type {FastifyRequest} from 'fastify';
import type {Caller} from '../common/contracts/caller.ts';
import type {Fleet} from './fleet.ts';
import {findToken} from './tokens.ts';

const ANONYMOUS: Caller = {kind: 'anonymous'};
const MACHINE_NAME = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.machine\.hawser\.internal$/;
const sockets = new WeakMap<TLSSocket, Caller>();

/**
 * The caller of a request. The listener must ask for client certificates and check them against the fleet's CA and no
 * other (`requestCert`, `ca`); who has none may still come as an operator.
 */
export function callerOf(request: FastifyRequest, fleet: Fleet): Caller {
  const {authorization} = request.headers;
  if (authorization !== undefined) return operatorOf(authorization, fleet);
  const {socket} = request.raw;
  return socket instanceof TLSSocket ? machineOf(socket) : ANONYMOUS;
}

function operatorOf(authorization: string, fleet: Fleet): Caller {
  const [, text = ''] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
  const token = findToken(fleet, text);
  if (token === undefined || token.oneTime === true) return ANONYMOUS;
  return {kind: 'operator', name: token.name, role: token.role};
}

/** One look for each connection: it keeps its certificate for as long as it lives. */
function machineOf(socket: TLSSocket): Caller {
  const known = sockets.get(socket);
  if (known !== undefined) return known;
  const caller = readMachine(socket);
  sockets.set(socket, caller);
  return caller;
}

function readMachine(socket: TLSSocket): Caller {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return ANONYMOUS;
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .flatMap(name => (name.startsWith('DNS:') ? [name.slice(4)] : []));
  const uuids = names.flatMap(name => MACHINE_NAME.exec(name)?.[1] ?? []);
  const [uuid] = uuids;
  const [, name] = /^CN=(.+)$/m.exec(certificate.subject) ?? [];
  // A certificate of ours with two identities, or none, is not a machine's.
  if (uuid === undefined || name === undefined || uuids.length !== 1) return ANONYMOUS;
  return {kind: 'machine', uuid, name};
}
