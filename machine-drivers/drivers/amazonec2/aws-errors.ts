/** What AWS and its SDK refuse, as our errors: what happened, and what to do about it. Pure. */
import {systemErrorCode} from '../../../services/common/errors.ts';
import {MachineError, type MachineErrorCode} from '../../errors.ts';

interface Meaning {
  readonly pattern: RegExp;
  readonly code: MachineErrorCode;
  readonly remedy: string;
}

/** By error code as EC2 documents them, and by the names of the SDK's own errors; the first that matches counts. */
const meanings: readonly Meaning[] = [
  {
    pattern: /^(CredentialsProviderError|ProviderError)$/,
    code: 'credentials',
    remedy:
      'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/config with --amazonec2-profile',
  },
  {
    pattern:
      /^(TokenProviderError|SSOTokenProviderFailure|ExpiredToken|ExpiredTokenException|RequestExpired)$/,
    code: 'credentials',
    remedy: 'the session has ended: log in again (aws sso login), or check the clock of this host',
  },
  {
    pattern:
      /^(AuthFailure|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|IncompleteSignature|InvalidSignatureException|MissingAuthenticationToken|InvalidAccessKeyId)$/,
    code: 'credentials',
    remedy: 'AWS does not know these credentials: check the profile or AWS_ACCESS_KEY_ID and its secret',
  },
  {
    pattern: /^(UnauthorizedOperation|AccessDenied|AccessDeniedException|Client\.UnauthorizedOperation)$/,
    code: 'credentials',
    remedy:
      'the account allows this identity too little: machine-drivers/drivers/amazonec2/README.md lists the actions that are needed',
  },
  {
    pattern: /^(OptInRequired|Blocked|PendingVerification)$/,
    code: 'credentials',
    remedy: 'the account must first be confirmed, or subscribed to this image, in the AWS console',
  },
  {
    pattern:
      /(LimitExceeded|Limit|QuotaExceeded|ServiceQuotaExceededException|ResourceCountExceeded|CountExceeded)$/,
    code: 'quota',
    remedy: 'remove what is not needed (hawser machine gc), or ask AWS for a higher quota (Service Quotas)',
  },
  {
    pattern: /^(InsufficientInstanceCapacity|InsufficientCapacity|Unsupported|InsufficientHostCapacity)$/,
    code: 'quota',
    remedy: 'AWS has none of this type there now: try another --amazonec2-zone or --amazonec2-instance-type',
  },
  {
    pattern: /^(SpotMaxPriceTooLow|MaxSpotFleetRequestCountExceeded)$/,
    code: 'quota',
    remedy: 'leave out --amazonec2-spot-price, which then is the on-demand price, or offer more',
  },
  {
    pattern: /^InvalidAMIID\./,
    code: 'bad-setting',
    remedy:
      'publish the image to this region with hawser image publish --to aws, or give another --amazonec2-ami',
  },
  {
    pattern: /^InvalidInstanceType$/,
    code: 'bad-setting',
    remedy: 'give a type that the region has as --amazonec2-instance-type, for instance t3.micro',
  },
  {
    pattern: /^InvalidSubnetID\.|^InvalidVpcID\./,
    code: 'bad-setting',
    remedy: 'check --amazonec2-subnet-id, --amazonec2-vpc-id and --amazonec2-region',
  },
  {
    pattern: /^IdempotentParameterMismatch$/,
    code: 'driver-failed',
    remedy:
      'an earlier try asked for another instance: remove the machine with hawser machine rm, and create it anew',
  },
];

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
]);

/** The name under which AWS or the SDK refused, for instance `InvalidGroup.NotFound`; undefined for anything else. */
export function awsCode(error: unknown): string | undefined {
  if (error instanceof MachineError) {
    const name = error.context['aws'];
    return typeof name === 'string' ? name : undefined;
  }
  return error instanceof Error ? error.name : undefined;
}

/** True for the codes by which AWS says that there is no such thing (`Invalid….NotFound`, and its like). */
export function isNotFound(error: unknown): boolean {
  return (awsCode(error) ?? '').endsWith('NotFound');
}

/** `doing` completes "could not …". Errors of ours pass through. */
export function explain(error: unknown, doing: string): Error {
  if (error instanceof MachineError) return error;
  if (!(error instanceof Error))
    return new MachineError('driver-failed', `could not ${doing}: ${String(error)}`);
  const system = systemErrorCode(error);
  if ((system !== undefined && networkCodes.has(system)) || error.name === 'TimeoutError') {
    return refused('unreachable', error, doing, 'check the network and --amazonec2-endpoint, then try again');
  }
  if (isThrottling(error)) {
    return refused(
      'unreachable',
      error,
      doing,
      'AWS asks for patience: try again in a minute, or with more --amazonec2-retries',
    );
  }
  if (/CredentialsProvider|TokenProvider/.test(error.name) && /\bsso\b/i.test(error.message))
    return refused('credentials', error, doing, 'log in again with aws sso login, naming the same profile');
  const known = meanings.find(({pattern}) => pattern.test(error.name));
  if (known !== undefined) return refused(known.code, error, doing, known.remedy);
  if (serverFault(error))
    return refused('unreachable', error, doing, 'AWS has a fault of its own: try again in a minute');
  return refused('driver-failed', error, doing, undefined);
}

export function isThrottling(error: unknown): boolean {
  return /^(Throttl|RequestLimitExceeded|RequestThrottl|TooManyRequests|SlowDown|EC2ThrottledException)/.test(
    awsCode(error) ?? '',
  );
}

function serverFault(error: Error): boolean {
  return '$fault' in error && error.$fault === 'server';
}

function refused(
  code: MachineErrorCode,
  error: Error,
  doing: string,
  remedy: string | undefined,
): MachineError {
  const why =
    error.message === '' || error.message === 'UnknownError'
      ? error.name
      : `${error.message} (${error.name})`;
  return new MachineError(code, `could not ${doing}: ${why.replaceAll(/\s*\n\s*/g, ' ')}`, {
    cause: error,
    context: {aws: error.name},
    ...(remedy === undefined ? {} : {remedy}),
  });
}
