/**
 * From what an operator has (an entry of clouds.yaml, OS_* variables, flags) to how a cloud is entered. Pure. The words
 * and their precedence are openstacksdk's and gophercloud's.
 */
import {OpenStackError} from './errors.ts';

/** Keys of clouds.yaml (those below `auth` too) that are plain text, with their values. */
export type CloudOptions = Readonly<Record<string, string>>;

/** Where each key comes from when no named cloud gives it. The first variable that is set counts. */
export const variables: Readonly<Record<string, readonly string[]>> = {
  auth_url: ['OS_AUTH_URL'],
  auth_type: ['OS_AUTH_TYPE'],
  username: ['OS_USERNAME'],
  user_id: ['OS_USER_ID'],
  user_domain_id: ['OS_USER_DOMAIN_ID'],
  user_domain_name: ['OS_USER_DOMAIN_NAME'],
  project_id: ['OS_PROJECT_ID', 'OS_TENANT_ID'],
  project_name: ['OS_PROJECT_NAME', 'OS_TENANT_NAME'],
  project_domain_id: ['OS_PROJECT_DOMAIN_ID'],
  project_domain_name: ['OS_PROJECT_DOMAIN_NAME'],
  domain_id: ['OS_DOMAIN_ID'],
  domain_name: ['OS_DOMAIN_NAME'],
  application_credential_id: ['OS_APPLICATION_CREDENTIAL_ID'],
  application_credential_name: ['OS_APPLICATION_CREDENTIAL_NAME'],
  region_name: ['OS_REGION_NAME'],
  interface: ['OS_INTERFACE', 'OS_ENDPOINT_TYPE'],
  cacert: ['OS_CACERT'],
  cert: ['OS_CERT'],
  key: ['OS_KEY'],
  insecure: ['OS_INSECURE'],
};

/** Never kept: read from the environment or from clouds.yaml and secure.yaml each time. */
export const secretVariables: Readonly<Record<string, readonly string[]>> = {
  password: ['OS_PASSWORD'],
  token: ['OS_TOKEN', 'OS_AUTH_TOKEN'],
  application_credential_secret: ['OS_APPLICATION_CREDENTIAL_SECRET'],
};

/** Those that may be changed beside a named cloud without a flag. */
export const besideCloud: readonly string[] = ['region_name', 'interface'];

export type Environment = Readonly<Record<string, string | undefined>>;

export function fromEnvironment(
  table: Readonly<Record<string, readonly string[]>>,
  env: Environment,
): CloudOptions {
  const found = Object.entries(table).flatMap(([key, names]) => {
    const value = names.map(name => env[name]).find(text => text !== undefined && text !== '');
    return value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(found);
}

type Domain = {readonly id: string} | {readonly name: string};
type User = {readonly id: string} | {readonly name: string; readonly domain: Domain};

export type AuthMethod =
  | {readonly kind: 'password'; readonly user: User; readonly password: string}
  | {readonly kind: 'token'; readonly token: string}
  | {
      readonly kind: 'application-credential';
      readonly credential: {readonly id: string} | {readonly name: string; readonly user: User};
      readonly secret: string;
    };

export type Scope = {readonly id: string} | {readonly name: string; readonly domain: Domain};

export type Interface = 'public' | 'internal' | 'admin';

export interface CloudAccess {
  /** Ends in `/v3`. */
  readonly authUrl: string;
  readonly method: AuthMethod;
  /** Absent for application credentials, which have a project of their own and refuse to be given one. */
  readonly project?: Scope;
  /** Undefined: the one region that the catalogue has. */
  readonly region: string | undefined;
  readonly interface: Interface;
  readonly tls: TlsOptions;
  /** By service type, instead of the catalogue's. */
  readonly endpoints: Readonly<Record<string, string>>;
}

export interface TlsOptions {
  readonly verify: boolean;
  /** Paths of PEM files. */
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Throws OpenStackError `bad-cloud-config` that names the missing key. */
export function cloudAccess(options: CloudOptions): CloudAccess {
  const {auth_url: authUrl, region_name: region} = options;
  if (authUrl === undefined) throw missing('auth_url', 'OS_AUTH_URL');
  const method = authMethod(options);
  return {
    authUrl: identityUrl(authUrl),
    method,
    ...(method.kind === 'application-credential' ? {} : {project: projectOf(options)}),
    region,
    interface: interfaceOf(options['interface'] ?? options['endpoint_type'] ?? 'public'),
    tls: {
      verify: isTrue(options['verify'] ?? 'true') && !isTrue(options['insecure'] ?? 'false'),
      ...pick(options, 'cacert'),
      ...pick(options, 'cert'),
      ...pick(options, 'key'),
    },
    endpoints: Object.fromEntries(
      Object.entries(options).flatMap(([key, value]) => {
        const [, type] = /^(\w+)_endpoint_override$/.exec(key) ?? [];
        return type === undefined ? [] : [[type.replaceAll('_', '-'), value] as const];
      }),
    ),
  };
}

function authMethod(options: CloudOptions): AuthMethod {
  const {password, token, application_credential_secret: secret} = options;
  const type = options['auth_type'] ?? guessType(options);
  switch (type) {
    case 'password':
    case 'v3password':
      if (password === undefined) throw missing('password', 'OS_PASSWORD');
      return {kind: 'password', user: userOf(options), password};
    case 'token':
    case 'v3token':
      if (token === undefined) throw missing('token', 'OS_TOKEN');
      return {kind: 'token', token};
    case 'v3applicationcredential': {
      if (secret === undefined)
        throw missing('application_credential_secret', 'OS_APPLICATION_CREDENTIAL_SECRET');
      const {application_credential_id: id, application_credential_name: name} = options;
      if (id !== undefined) return {kind: 'application-credential', credential: {id}, secret};
      if (name === undefined) throw missing('application_credential_id', 'OS_APPLICATION_CREDENTIAL_ID');
      return {kind: 'application-credential', credential: {name, user: userOf(options)}, secret};
    }
    default:
      throw new OpenStackError('bad-cloud-config', `the auth_type "${type}" is not known`, {
        remedy: 'use v3password, v3token or v3applicationcredential',
      });
  }
}

function guessType(options: CloudOptions): string {
  if (options['application_credential_id'] !== undefined) return 'v3applicationcredential';
  if (options['application_credential_name'] !== undefined) return 'v3applicationcredential';
  return options['token'] !== undefined && options['password'] === undefined ? 'v3token' : 'v3password';
}

function userOf(options: CloudOptions): User {
  const {user_id: id, username: name} = options;
  if (id !== undefined) return {id};
  if (name === undefined) throw missing('username', 'OS_USERNAME');
  return {name, domain: domainOf(options, 'user')};
}

function projectOf(options: CloudOptions): Scope {
  const id = options['project_id'] ?? options['tenant_id'];
  const name = options['project_name'] ?? options['tenant_name'];
  if (id !== undefined) return {id};
  if (name === undefined) throw missing('project_name', 'OS_PROJECT_NAME');
  return {name, domain: domainOf(options, 'project')};
}

/** docker-machine knew one domain for both; without any, the one that every Keystone begins with. */
function domainOf(options: CloudOptions, of: 'user' | 'project'): Domain {
  const name = options[`${of}_domain_name`];
  const id = options[`${of}_domain_id`];
  if (id !== undefined) return {id};
  if (name !== undefined) return {name};
  if (options['domain_id'] !== undefined) return {id: options['domain_id']};
  if (options['domain_name'] !== undefined) return {name: options['domain_name']};
  return {id: options['default_domain'] ?? 'default'};
}

/** `https://cloud:5000`, with `/v3` or an old `/v2.0`, to `https://cloud:5000/v3`. */
function identityUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new OpenStackError('bad-cloud-config', `the auth_url "${text}" is not an address`, {
      remedy: 'for instance https://cloud.example:5000/v3',
    });
  }
  return `${text.replace(/\/+$/, '').replace(/\/v\d+(\.\d+)?$/, '')}/v3`;
}

function interfaceOf(text: string): Interface {
  const word = text.replace(/URL$/, '');
  if (word === 'public' || word === 'internal' || word === 'admin') return word;
  throw new OpenStackError('bad-cloud-config', `the interface "${text}" is not known`, {
    remedy: 'use public, internal or admin',
  });
}

function isTrue(text: string): boolean {
  return ['1', 'true', 'yes', 'on'].includes(text.toLowerCase());
}

function pick<Key extends string>(options: CloudOptions, key: Key): {[K in Key]?: string} {
  const value = options[key];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (value === undefined ? {} : {[key]: value}) as {[K in Key]?: string};
}

function missing(key: string, variable: string): OpenStackError {
  return new OpenStackError('bad-cloud-config', `the cloud's ${key} is not known`, {
    remedy: `name a cloud of clouds.yaml with --openstack-cloud or OS_CLOUD, or set ${variable}`,
  });
}
