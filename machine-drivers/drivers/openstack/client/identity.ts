/** Keystone's version 3: what is sent for a token, and what comes with it. Pure. */
import {Type, type Static} from 'typebox';
import type {AuthMethod, CloudAccess, Interface} from './cloud-config.ts';
import {OpenStackError} from './errors.ts';

const Endpoint = Type.Object({
  interface: Type.String(),
  region: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  region_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  url: Type.String(),
});

/** The answer to `POST /auth/tokens`; the token itself is in the header `X-Subject-Token`. */
export const TokenAnswer = Type.Object({
  token: Type.Object({
    expires_at: Type.String(),
    user: Type.Object({id: Type.String(), name: Type.String()}),
    project: Type.Optional(Type.Object({id: Type.String(), name: Type.String()})),
    catalog: Type.Optional(Type.Array(Type.Object({type: Type.String(), endpoints: Type.Array(Endpoint)}))),
  }),
});
export type Token = Static<typeof TokenAnswer>['token'];

/** The body of `POST /auth/tokens`. */
export function authRequest({method, project}: Pick<CloudAccess, 'method' | 'project'>): object {
  const scope = project === undefined ? {} : {scope: {project}};
  return {auth: {identity: identityOf(method), ...scope}};
}

function identityOf(method: AuthMethod): object {
  if (method.kind === 'password') {
    return {methods: ['password'], password: {user: {...method.user, password: method.password}}};
  }
  if (method.kind === 'token') return {methods: ['token'], token: {id: method.token}};
  const {credential, secret} = method;
  return {methods: ['application_credential'], application_credential: {...credential, secret}};
}

export type Service = 'compute' | 'image' | 'network';

/** Where the services of one region are. Throws OpenStackError that names what the catalogue has. */
export interface Catalogue {
  readonly region: string;
  url(service: Service): string;
}

export function readCatalogue(
  token: Token,
  wish: {
    readonly region: string | undefined;
    readonly interface: Interface;
    readonly endpoints: Readonly<Record<string, string>>;
  },
): Catalogue {
  const entries = token.catalog ?? [];
  const region = wish.region ?? onlyRegion(entries.flatMap(entry => entry.endpoints.map(regionOf)));
  return {
    region,
    url: service => {
      const overridden = wish.endpoints[service];
      if (overridden !== undefined) return versioned(service, overridden);
      const known = entries.filter(entry => entry.type === service).flatMap(entry => entry.endpoints);
      const found = known.find(
        endpoint => regionOf(endpoint) === region && endpoint.interface === wish.interface,
      );
      if (found !== undefined) return versioned(service, found.url);
      const has = known.map(endpoint => `${endpoint.interface} in ${regionOf(endpoint)}`);
      throw new OpenStackError(
        'bad-cloud-config',
        `the cloud has no ${wish.interface} ${service} service in region "${region}"`,
        {
          remedy:
            has.length === 0
              ? `its catalogue names no ${service} service; is the role right?`
              : `it has ${[...new Set(has)].join(', ')}: set region_name or interface`,
        },
      );
    },
  };
}

function onlyRegion(regions: readonly string[]): string {
  const [region, ...others] = [...new Set(regions)];
  if (region !== undefined && others.length === 0) return region;
  throw new OpenStackError('bad-cloud-config', 'the region is not named', {
    remedy:
      region === undefined
        ? "the account's catalogue is empty: name a project"
        : `set OS_REGION_NAME or --openstack-region to one of ${[region, ...others].join(', ')}`,
  });
}

function regionOf(endpoint: Static<typeof Endpoint>): string {
  return endpoint.region_id ?? endpoint.region ?? '';
}

/** Catalogues give URLs with a version and without; the API that this client speaks is always the same. */
const versions: Readonly<Record<Service, {readonly pattern: RegExp; readonly path: string}>> = {
  compute: {pattern: /\/v2(\.\d+)?(?=\/|$)/, path: '/v2.1'},
  image: {pattern: /\/v\d+(\.\d+)?$/, path: '/v2'},
  network: {pattern: /\/v2(\.0)?$/, path: '/v2.0'},
};

function versioned(service: Service, given: string): string {
  const url = given.replace(/\/+$/, '');
  const {pattern, path} = versions[service];
  return pattern.test(url) ? url.replace(pattern, path) : `${url}${path}`;
}
