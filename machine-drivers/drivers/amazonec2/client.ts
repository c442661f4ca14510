/**
 * The way to AWS. The SDK is loaded when it is used, and only then: `hawser --help` pays nothing for it. Credentials come
 * from the environment, else by the SDK's default chain (profiles, SSO, processes, web identity, instance roles), each
 * time anew; they are never kept.
 */
import type {EC2} from '@aws-sdk/client-ec2';
import type {EBS} from '@aws-sdk/client-ebs';
import {Type, type Static} from 'typebox';
import type {DriverContext} from '../../driver.ts';
import {stopIfInterrupted} from '../../errors.ts';
import {explain} from './aws-errors.ts';

/** Which account and region: what a machine's record and a published image say of it. */
export const Connection = Type.Object({
  region: Type.String({minLength: 1}),
  /** Of ~/.aws/config; its credentials are read anew each time. */
  profile: Type.Optional(Type.String({minLength: 1})),
  /** Instead of AWS's own: a URL. */
  endpoint: Type.Optional(Type.String({minLength: 1})),
  /** Attempts that a call gets, throttling and faults of the network included. */
  attempts: Type.Integer({minimum: 1, maximum: 100}),
});
export type Connection = Static<typeof Connection>;

/** What calls need of the context that the core lends. */
export type CallContext = Pick<DriverContext, 'env' | 'signal'>;

/** Machines and images of one place belong together: endpoint, region and profile (so: account). */
export function placeOf({region, profile, endpoint}: Connection): string {
  return [endpoint ?? 'aws', region, profile ?? ''].join(' ').trim();
}

export interface CallOptions {
  readonly abortSignal: AbortSignal;
}

/** One call, or a few that belong together; what goes wrong is explained (`could not ${doing}`). */
export interface Client<Api> {
  <Result>(doing: string, work: (api: Api, options: CallOptions) => Promise<Result>): Promise<Result>;
}

export type Ec2 = Client<EC2>;
export type Ebs = Client<EBS>;

/** One for each environment and connection, so that a command logs in once. */
const clients = new WeakMap<CallContext['env'], Map<string, EC2>>();

export async function openEc2(connection: Connection, context: CallContext): Promise<Ec2> {
  const {EC2} = await import('@aws-sdk/client-ec2');
  const known = clients.get(context.env) ?? new Map<string, EC2>();
  clients.set(context.env, known);
  const key = JSON.stringify(connection);
  const api = known.get(key) ?? new EC2(configuration(connection, context));
  known.set(key, api);
  return wrap(api, context);
}

/** `sockets`: how many calls may be under way at once. */
export async function openEbs(connection: Connection, context: CallContext, sockets: number): Promise<Ebs> {
  const {EBS} = await import('@aws-sdk/client-ebs');
  return wrap(
    new EBS({
      ...configuration(connection, context),
      requestHandler: {httpsAgent: {maxSockets: sockets}, httpAgent: {maxSockets: sockets}},
    }),
    context,
  );
}

/** The region that the SDK's own settings name for `profile`, or undefined. */
export async function configuredRegion(profile: string | undefined): Promise<string | undefined> {
  const {EC2} = await import('@aws-sdk/client-ec2');
  try {
    return await new EC2(profile === undefined ? {} : {profile}).config.region();
  } catch {
    return undefined;
  }
}

function wrap<Api>(api: Api, {signal}: CallContext): Client<Api> {
  return async (doing, work) => {
    stopIfInterrupted(signal);
    try {
      return await work(api, {abortSignal: signal});
    } catch (error) {
      stopIfInterrupted(signal);
      throw explain(error, doing);
    }
  };
}

function configuration({region, profile, endpoint, attempts}: Connection, {env}: CallContext) {
  const credentials = profile === undefined ? environmentCredentials(env) : undefined;
  return {
    region,
    maxAttempts: attempts,
    ...(profile === undefined ? {} : {profile}),
    ...(endpoint === undefined ? {} : {endpoint}),
    ...(credentials === undefined ? {} : {credentials}),
  };
}

/** Pure. Undefined when the environment has none: then the default chain looks further. */
export function environmentCredentials(
  env: CallContext['env'],
): {accessKeyId: string; secretAccessKey: string; sessionToken?: string} | undefined {
  const accessKeyId = env['AWS_ACCESS_KEY_ID'] ?? '';
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'] ?? '';
  const sessionToken = env['AWS_SESSION_TOKEN'] ?? '';
  if (accessKeyId === '' || secretAccessKey === '') return undefined;
  return {accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : {sessionToken})};
}
