/** Addresses as Docker's clients write them. Pure. */
import type {Address} from '../driver.ts';

/** `tcp://HOST:PORT`; an IPv6 address stands in brackets (RFC 3986). */
export function tcpUrl({host, port}: Address): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
