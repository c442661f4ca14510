/** What `hawser server` is told: by flag, else by environment, else by `HAWSER_HOME/server/config.yaml`. */
import {readFile} from 'node:fs/promises';
import {isIP} from 'node:net';
import {join, resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {parse} from 'yaml';
import {
  UsageError,
  flagList,
  flagString,
  type CommandContext,
  type CommandInput,
  type Flag,
} from '../../common/command.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {parseValue} from '../../common/parse.ts';
import {resolvePaths} from '../../common/paths.ts';
import {CliError} from '../errors.ts';

/** The file. Its paths are relative to its folder. */
const ServerFile = Type.Object(
  {
    listen: Type.Optional(Type.String()),
    serverNames: Type.Optional(Type.Array(Type.String())),
    url: Type.Optional(Type.String()),
    etcd: Type.Optional(
      Type.Object(
        {
          hosts: Type.Array(Type.String({pattern: '^https?://'}), {minItems: 1}),
          ca: Type.Optional(Type.String()),
          certificate: Type.Optional(Type.String()),
          key: Type.Optional(Type.String()),
        },
        {additionalProperties: false},
      ),
    ),
    repository: Type.Optional(Type.String()),
    repositories: Type.Optional(Type.Array(Type.String(), {maxItems: 8})),
    logLevel: Type.Optional(Type.String()),
  },
  {additionalProperties: false},
);
type ServerFile = Static<typeof ServerFile>;

export interface ServerSettings {
  readonly home: string;
  readonly listen: {readonly host: string; readonly port: number};
  readonly serverNames: readonly string[];
  /** Absent: an etcd of our own. */
  readonly etcd?: {
    readonly hosts: readonly string[];
    readonly ca?: string;
    readonly certificate?: string;
    readonly key?: string;
  };
  /** Folder that is served as `/repository/`. */
  readonly repository: string;
  /** Told to machines in place of `/repository/`. */
  readonly repositories: readonly string[];
  readonly logLevel: string;
}

const DEFAULT_LISTEN = '127.0.0.1:8443';

export const serverFlags: readonly Flag[] = [
  {
    name: 'listen',
    type: 'string',
    env: 'HAWSER_SERVER_LISTEN',
    summary: `address and port (default ${DEFAULT_LISTEN})`,
  },
  {
    name: 'server-name',
    type: 'list',
    env: 'HAWSER_SERVER_NAMES',
    summary: 'DNS name or address in the server certificate, besides server.hawser.internal and localhost',
  },
  {
    name: 'etcd',
    type: 'list',
    env: 'HAWSER_ETCD',
    summary: 'address of an etcd member; without it, an etcd of our own is started on loopback',
  },
  {name: 'etcd-ca', type: 'string', env: 'HAWSER_ETCD_CA', summary: "file with etcd's CA"},
  {name: 'etcd-cert', type: 'string', env: 'HAWSER_ETCD_CERT', summary: 'file with our certificate for etcd'},
  {name: 'etcd-key', type: 'string', env: 'HAWSER_ETCD_KEY', summary: "file with that certificate's key"},
  {
    name: 'repository',
    type: 'string',
    env: 'HAWSER_REPOSITORY',
    summary: 'folder served as /repository/ (default HAWSER_HOME/repository)',
  },
  {
    name: 'repository-url',
    type: 'list',
    env: 'HAWSER_REPOSITORY_URLS',
    summary: 'mirrors that machines fetch from, in place of /repository/',
  },
  {
    name: 'log-level',
    type: 'string',
    env: 'HAWSER_LOG_LEVEL',
    summary: 'error, warn, info or debug (default info)',
  },
  {name: 'new-admin-token', type: 'boolean', summary: 'print a new one-time admin token'},
];

/** Reads the settings. Throws {@link UsageError} and `bad-config`. */
export async function readSettings(context: CommandContext, {flags}: CommandInput): Promise<ServerSettings> {
  const {home} = resolvePaths(context.env);
  const folder = join(home, 'server');
  const file = await readServerFile(join(folder, 'config.yaml'));
  const path = (flag: string, own: string | undefined): string | undefined => {
    const given = flagString(flags, flag);
    if (given !== undefined) return resolve(context.cwd, given);
    return own === undefined ? undefined : resolve(folder, own);
  };
  const list = (flag: string, own: readonly string[] | undefined): readonly string[] => {
    const given = flagList(flags, flag);
    return given.length > 0 ? given : (own ?? []);
  };
  const hosts = list('etcd', file.etcd?.hosts);
  const [ca, certificate, key] = [
    path('etcd-ca', file.etcd?.ca),
    path('etcd-cert', file.etcd?.certificate),
    path('etcd-key', file.etcd?.key),
  ];
  const logLevel = flagString(flags, 'log-level') ?? file.logLevel ?? 'info';
  if (!['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].includes(logLevel))
    throw new UsageError('bad-value', `--log-level is "${logLevel}"`, {
      remedy: 'give error, warn, info or debug',
    });
  return {
    home,
    listen: parseAddress(flagString(flags, 'listen') ?? file.listen ?? DEFAULT_LISTEN),
    serverNames: list('server-name', file.serverNames),
    ...(hosts.length === 0
      ? {}
      : {
          etcd: {
            hosts,
            ...(ca === undefined ? {} : {ca}),
            ...(certificate === undefined ? {} : {certificate}),
            ...(key === undefined ? {} : {key}),
          },
        }),
    repository: path('repository', file.repository) ?? join(home, 'repository'),
    repositories: list('repository-url', file.repositories),
    logLevel,
  };
}

/** `HOST:PORT`, the host in brackets when it is an IPv6 address. Throws {@link UsageError}. */
export function parseAddress(text: string): {host: string; port: number} {
  const [, bracketed, plain, digits = ''] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(digits) <= 65_535) return {host, port: Number(digits)};
  throw new UsageError('bad-value', `--listen is "${text}"`, {remedy: `give for instance ${DEFAULT_LISTEN}`});
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

async function readServerFile(path: string): Promise<ServerFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {};
    throw error;
  }
  try {
    return parseValue(ServerFile, parse(text) ?? {}, path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError('bad-config', why.includes(path) ? why : `${path}: ${why}`, {cause: error});
  }
}
