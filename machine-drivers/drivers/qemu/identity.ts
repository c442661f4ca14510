/** Names and numbers that follow from UUIDs: pure, the same on every call. */
import {sha256} from '../../../services/common/hash.ts';

/** The wire that joins the machines of one store: a multicast group on the loopback interface. */
export interface Wire {
  readonly group: string;
  readonly port: number;
}

/** All machines have one network; its addresses are 10.86.x.y/16. */
export const wirePrefix = 16;

/** RFC 2365: 239.255.0.0/16 is the local scope, never forwarded. */
export function fleetWire(fleet: string): Wire {
  const [a, b, c, d] = bytes(`wire ${fleet}`);
  return {group: `239.255.${a}.${b}`, port: 30_000 + (((c ?? 0) * 256 + (d ?? 0)) % 10_000)};
}

/** 52:54:00 is QEMU's own prefix; `nic` 0 is the way out, 1 the wire. */
export function macAddress(uuid: string, nic: 0 | 1): string {
  const tail = bytes(`mac ${nic} ${uuid}`).slice(0, 3);
  return ['52', '54', '00', ...tail.map(byte => byte.toString(16).padStart(2, '0'))].join(':');
}

/** The first address on the wire that nobody holds, tried in an order that follows from the UUID. */
export function wireAddress(uuid: string, taken: ReadonlySet<string>): string | undefined {
  const [high = 0, low = 0] = bytes(`address ${uuid}`);
  const start = high * 256 + low;
  for (let step = 0; step < 65_536; step++) {
    const host = (start + step) % 65_536;
    // The network's first and last addresses, and the first /24, which stays free for what comes later.
    if (host < 256 || host === 65_535) continue;
    const address = `10.86.${host >> 8}.${host & 255}`;
    if (!taken.has(address)) return address;
  }
  return undefined;
}

function bytes(text: string): number[] {
  return [...Buffer.from(sha256(text), 'hex')];
}
