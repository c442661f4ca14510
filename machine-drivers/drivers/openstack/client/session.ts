/** A project of a cloud, entered: token, catalogue, and calls that are repeated where that is safe. */
import type {Readable} from 'node:stream';
import type {Static, TSchema} from 'typebox';
import type {CloudAccess} from './cloud-config.ts';
import {OpenStackError, hasCode} from './errors.ts';
import {bodyText, describe, exchange, headerText, readAnswer} from './exchange.ts';
import type {Exchange, Patience} from './exchange.ts';
import {TokenAnswer, authRequest, readCatalogue} from './identity.ts';
import type {Catalogue, Service, Token} from './identity.ts';
import {openTransport} from './transport.ts';
import type {HttpAnswer, Transport} from './transport.ts';

/** Pike (2017): tags at creation. Everything asked of Nova is in it, but for what names a later one. */
const COMPUTE_MICROVERSION = '2.52';

export interface Call extends Omit<Exchange, 'url' | 'headers'> {
  readonly query?: Readonly<Record<string, string>>;
  /** Nova's; {@link COMPUTE_MICROVERSION} when absent. */
  readonly microversion?: string;
}

export interface Session extends Disposable {
  readonly authUrl: string;
  readonly projectId: string;
  readonly projectName: string;
  readonly region: string;
  /** The address by which Keystone saw this host, as far as this host knows it, and Keystone's own. */
  readonly callers: {readonly local: string | undefined; readonly remote: string | undefined};
  /** The checked JSON of an answer. Throws {@link OpenStackError}. */
  ask<Schema extends TSchema>(service: Service, call: Call, schema: Schema): Promise<Static<Schema>>;
  /** For answers without a body that matters. */
  tell(service: Service, call: Call): Promise<void>;
  /** The body as it comes; the caller reads it to its end or destroys it. */
  open(service: Service, call: Call): Promise<Readable>;
}

export interface SessionOptions extends Patience {
  /** Tokens of one piece of work, by the access that they were given for: a new one takes Keystone 0.3 s. */
  readonly entrances?: Map<string, Entrance>;
}

/** Enters the cloud. Throws OpenStackError: `unauthorized`, `unreachable`, `bad-cloud-config`. */
export async function openSession(access: CloudAccess, options: SessionOptions): Promise<Session> {
  const transport = await openTransport(access.tls);
  try {
    const known = options.entrances?.get(JSON.stringify(access));
    const entrance = known ?? (await enter(access, transport, options));
    return new OpenSession(access, transport, options, entrance);
  } catch (error) {
    transport[Symbol.dispose]();
    throw error;
  }
}

/** A token with what it opens. */
export interface Entrance {
  readonly id: string;
  readonly token: Token;
  readonly catalogue: Catalogue;
  readonly callers: Session['callers'];
}

class OpenSession implements Session {
  readonly #access: CloudAccess;
  readonly #transport: Transport;
  readonly #options: SessionOptions;
  #entrance: Entrance;
  #renewal: Promise<void> | undefined;

  constructor(access: CloudAccess, transport: Transport, options: SessionOptions, entrance: Entrance) {
    this.#access = access;
    this.#transport = transport;
    this.#options = options;
    this.#entrance = entrance;
  }

  get authUrl(): string {
    return this.#access.authUrl;
  }

  get projectId(): string {
    return this.#entrance.token.project?.id ?? '';
  }

  get projectName(): string {
    return this.#entrance.token.project?.name ?? '';
  }

  get region(): string {
    return this.#entrance.catalogue.region;
  }

  get callers(): Session['callers'] {
    return this.#entrance.callers;
  }

  async ask<Schema extends TSchema>(service: Service, call: Call, schema: Schema): Promise<Static<Schema>> {
    const answer = await this.#send(service, call);
    return readAnswer(schema, await bodyText(answer), describe(call));
  }

  async tell(service: Service, call: Call): Promise<void> {
    const answer = await this.#send(service, call);
    answer.body.resume();
  }

  async open(service: Service, call: Call): Promise<Readable> {
    return (await this.#send(service, call)).body;
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  /** A token that has expired or was revoked is replaced once; a given one cannot be. */
  async #send(service: Service, call: Call): Promise<HttpAnswer> {
    const {id} = this.#entrance;
    try {
      return await this.#attempt(service, call);
    } catch (error) {
      if (!hasCode(error, 'unauthorized') || this.#access.method.kind === 'token') throw error;
      // Several calls that were refused together get one new token.
      if (this.#entrance.id === id) await (this.#renewal ??= this.#renew());
      return await this.#attempt(service, call);
    }
  }

  async #renew(): Promise<void> {
    try {
      this.#entrance = await enter(this.#access, this.#transport, this.#options);
    } finally {
      this.#renewal = undefined;
    }
  }

  async #attempt(service: Service, call: Call): Promise<HttpAnswer> {
    const url = new URL(`${this.#entrance.catalogue.url(service)}${call.path}`);
    for (const [key, value] of Object.entries(call.query ?? {})) url.searchParams.append(key, value);
    const version = call.microversion ?? COMPUTE_MICROVERSION;
    const headers: Record<string, string> = {
      accept: 'application/json',
      'x-auth-token': this.#entrance.id,
      ...(service === 'compute'
        ? {'openstack-api-version': `compute ${version}`, 'x-openstack-nova-api-version': version}
        : {}),
    };
    return exchange(this.#transport, this.#options, {...call, url: url.href, headers});
  }
}

async function enter(access: CloudAccess, transport: Transport, options: SessionOptions): Promise<Entrance> {
  const answer = await exchange(transport, options, {
    method: 'POST',
    path: '/auth/tokens',
    url: `${access.authUrl}/auth/tokens`,
    headers: {accept: 'application/json'},
    json: authRequest(access),
  });
  const {token} = readAnswer(TokenAnswer, await bodyText(answer), "Keystone's token");
  const id = headerText(answer.headers['x-subject-token']);
  if (id === undefined)
    throw new OpenStackError('bad-answer', `${access.authUrl} gave no token: is it a Keystone?`);
  if (token.project === undefined) {
    throw new OpenStackError('bad-cloud-config', 'the token is of no project', {
      remedy: 'set OS_PROJECT_NAME or OS_PROJECT_ID, or project_name in clouds.yaml',
    });
  }
  const {local, remote} = answer;
  const entrance = {id, token, catalogue: readCatalogue(token, access), callers: {local, remote}};
  options.entrances?.set(JSON.stringify(access), entrance);
  return entrance;
}
