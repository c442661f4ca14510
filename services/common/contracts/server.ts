/** The update server as its clients know it: its stable name, and the files about it on an operator's host. */
import {Type, type Static} from 'typebox';

/**
 * The DNS name that every certificate of a Hawser server carries, whatever address it is dialled by (the way from a
 * guest to its host has no name of its own). Only our CA's servers can have it: names below hawser.internal are
 * refused in every request for a certificate.
 */
export const serverStableName = 'server.hawser.internal';

/** `<HAWSER_HOME>/server/login.json` (0600): which server the commands speak to, and as whom. */
export const ServerLogin = Type.Object({
  url: Type.String({pattern: '^https?://', maxLength: 2048}),
  /** PEM of the fleet's CA; absent when the URL is plain HTTP on loopback. */
  ca: Type.Optional(Type.String()),
  /** Name checked in the server's certificate. */
  serverName: Type.Optional(Type.String()),
  token: Type.String(),
  /** Written by a server on this very host, which keeps the address up to date. */
  local: Type.Optional(Type.Boolean()),
});
export type ServerLogin = Static<typeof ServerLogin>;

/** Where {@link ServerLogin} lies below HAWSER_HOME. */
export const loginFile = ['server', 'login.json'] as const;
