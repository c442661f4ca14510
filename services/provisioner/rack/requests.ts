/** Whether a request was made by the holder of the keys that it names, and is none that was made before. */
import {isSigned} from '../../common/rack-crypto.ts';
import {RackError} from './errors.ts';

export interface GivenRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body: string | Uint8Array;
  readonly sequence: string | undefined;
  readonly signature: string | undefined;
}

export interface RequestGuard {
  /** Throws `not-authentic` or `replayed`. */
  check(ed25519: string, request: GivenRequest): void;
}

/**
 * The numbers that were seen are kept in memory: TLS keeps others from replaying what was sent to a server before it was
 * started anew. `boots` bounds them, the ones silent longest go.
 */
export function createRequestGuard(boots = 16_384): RequestGuard {
  const seen = new Map<string, number>();
  return {
    check: (ed25519, {sequence: written, signature, ...request}) => {
      const sequence = /^[1-9][0-9]{0,14}$/.test(written ?? '') ? Number(written) : undefined;
      if (
        sequence === undefined ||
        signature === undefined ||
        !isSigned(ed25519, {...request, sequence}, signature)
      )
        throw new RackError('not-authentic', 'the request is not signed by this boot of the machine');
      if (sequence <= (seen.get(ed25519) ?? 0))
        throw new RackError('replayed', 'this request was made before: ask with the next number');
      seen.delete(ed25519);
      seen.set(ed25519, sequence);
      const [oldest] = seen.keys();
      if (seen.size > boots && oldest !== undefined) seen.delete(oldest);
    },
  };
}
