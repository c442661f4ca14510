/** Who may come in: the networks given, or the address that the operator's own connections come from. */
import {isIP} from 'node:net';
import type {CallContext} from './client.ts';
import {checkFailed} from '../../errors.ts';
import type {Ec2Settings} from './settings.ts';

const TIMEOUT_MS = 10_000;

/** CIDRs. Throws by `checkFailed` when the address service does not answer with an address. */
export async function allowedNetworks(
  {allow, addressService}: Pick<Ec2Settings, 'allow' | 'addressService'>,
  {signal}: Pick<CallContext, 'signal'>,
): Promise<readonly string[]> {
  if (allow !== undefined) return allow;
  const answer = await ask(addressService, signal);
  const family = isIP(answer);
  if (family !== 0) return [`${answer}/${family === 4 ? 32 : 128}`];
  throw unknownAddress(`${addressService} answers with no address`);
}

async function ask(service: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch(service, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return (await response.text()).trim();
  } catch (error) {
    signal.throwIfAborted();
    throw unknownAddress(`${service} does not say what your own address is`, error);
  }
}

function unknownAddress(message: string, cause?: unknown): Error {
  return checkFailed(message, 'name who may reach the machine with --amazonec2-allow-cidr', cause);
}
