/** `hawser server`, its tokens, and `hawser login`: the composition of the update server with its neighbours. */
import {createHash, X509Certificate} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {dirname, join, resolve} from 'node:path';
import {Type} from 'typebox';
import {flagString, UsageError, type Command, type CommandContext} from '../common/command.ts';
import {loginFile, serverStableName, type ServerLogin} from '../common/contracts/server.ts';
import {writeFileAtomic} from '../common/fs-atomic.ts';
import {resolvePaths} from '../common/paths.ts';
import {openServerClient, serverClient, ServerClientError} from '../common/server-client.ts';
import {outputFlag, renderTable, wantsJson} from '../update-server/commands/shared.ts';
import {fetchUntrusted} from './server/first-contact.ts';
import {serverFlags} from './server/settings.ts';

const none = {min: 0, max: 0};
const Secret = Type.Object({token: Type.String()});
const Tokens = Type.Object({
  tokens: Type.Array(
    Type.Object({
      id: Type.String(),
      name: Type.String(),
      role: Type.String(),
      createdAt: Type.String(),
      createdBy: Type.String(),
    }),
  ),
});

export function serverPart(): readonly Command[] {
  return [
    {
      name: 'server',
      summary: 'serve updates, the reboot lock, enrolment and the repository until ^C',
      arguments: none,
      flags: serverFlags,
      run: async (context, input) =>
        (await import('./server/serve.ts')).serve(context, input, packageVersion()),
    },
    {
      name: 'server token create',
      summary: 'make a token for an operator; it is printed this once',
      arguments: none,
      flags: [
        {name: 'role', type: 'string', summary: 'viewer, operator or admin'},
        {name: 'name', type: 'string', summary: 'whose it is'},
        {name: 'one-time', type: 'boolean', summary: 'good for hawser login only, once'},
      ],
      run: async (context, {flags}) => {
        const [role, name] = [flagString(flags, 'role'), flagString(flags, 'name')];
        if (role === undefined || name === undefined)
          throw new UsageError('missing-argument', 'server token create needs --role and --name');
        const client = await openServerClient(context.env, context.signal);
        const body = {role, name, ...(flags.get('one-time') === true ? {oneTime: true} : {})};
        context.print((await client.call('POST', '/v1/tokens', Secret, body)).token);
        return 0;
      },
    },
    {
      name: 'server token ls',
      summary: 'list tokens, without their secrets',
      arguments: none,
      flags: [outputFlag],
      run: async (context, input) => {
        const client = await openServerClient(context.env, context.signal);
        const {tokens} = await client.call('GET', '/v1/tokens', Tokens);
        const rows = tokens.map(token => [
          token.id,
          token.name,
          token.role,
          token.createdAt,
          token.createdBy,
        ]);
        const lines = wantsJson(input)
          ? [JSON.stringify(tokens)]
          : renderTable(['ID', 'NAME', 'ROLE', 'CREATED', 'BY'], rows);
        for (const line of lines) context.print(line);
        return 0;
      },
    },
    {
      name: 'server token rm',
      summary: 'make a token worthless',
      usage: 'ID',
      arguments: {min: 1, max: 1},
      flags: [],
      run: async (context, {args}) => {
        const client = await openServerClient(context.env, context.signal);
        await client.call('DELETE', `/v1/tokens/${encodeURIComponent(args[0] ?? '')}`, Type.Object({}));
        return 0;
      },
    },
    {
      name: 'login',
      summary:
        'keep the address, CA and token of a server for the other commands; the token comes by HAWSER_TOKEN',
      usage: 'URL',
      arguments: {min: 1, max: 1},
      flags: [
        {name: 'ca', type: 'string', summary: "file with the fleet's CA"},
        {name: 'ca-fingerprint', type: 'string', summary: 'or its SHA-256, as hawser server printed it'},
      ],
      run: async (context, {args, flags}) =>
        login(context, args[0] ?? '', flagString(flags, 'ca'), flagString(flags, 'ca-fingerprint')),
    },
  ];
}

async function login(
  context: CommandContext,
  url: string,
  caFile: string | undefined,
  caFingerprint: string | undefined,
): Promise<number> {
  const token = context.env['HAWSER_TOKEN'];
  if (!url.startsWith('https://')) throw new UsageError('bad-value', `"${url}" is not an https address`);
  if (token === undefined || token === '') {
    throw new UsageError('missing-argument', 'login needs a token', {
      remedy: 'set HAWSER_TOKEN to the one that hawser server printed',
    });
  }
  const ca =
    caFile === undefined
      ? await firstContact(url, caFingerprint, context.signal)
      : await readFile(resolve(context.cwd, caFile), 'utf8');
  const server = {server: url, ca, serverName: serverStableName, signal: context.signal};
  const lasting = await redeem(server, token);
  const path = join(resolvePaths(context.env).home, ...loginFile);
  await mkdir(dirname(path), {recursive: true, mode: 0o700});
  const kept: ServerLogin = {url, ca, serverName: serverStableName, token: lasting};
  await writeFileAtomic(path, JSON.stringify(kept), 0o600);
  context.warn(`logged in to ${url}`);
  return 0;
}

/** A one-time token is traded for a lasting one; a lasting one is kept as it is. */
async function redeem(server: Parameters<typeof serverClient>[0], token: string): Promise<string> {
  try {
    return (await serverClient(server).call('POST', '/v1/login', Secret, {token})).token;
  } catch (error) {
    if (!(error instanceof ServerClientError) || error.context['status'] !== 401) throw error;
    await serverClient({...server, token}).call('GET', '/v1/channels', Type.Object({}));
    return token;
  }
}

/** Fetches the CA from a server that is not trusted yet, and trusts it by its fingerprint. */
async function firstContact(url: string, wanted: string | undefined, signal: AbortSignal): Promise<string> {
  if (wanted === undefined) {
    throw new UsageError('missing-argument', 'login needs to know the server', {
      remedy: 'give --ca FILE, or --ca-fingerprint as hawser server printed it',
    });
  }
  const pem = await fetchUntrusted(new URL('/v1/ca', url), signal);
  const found = createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
  if (found === wanted.replaceAll(':', '').toLowerCase()) return pem;
  throw new ServerClientError('server-untrusted', `the CA of ${url} has the fingerprint ${found}`, {
    remedy: 'check the address and the fingerprint that hawser server printed',
  });
}

function packageVersion(): string {
  const described: unknown = createRequire(import.meta.url)('../../package.json');
  const known = typeof described === 'object' && described !== null && 'version' in described;
  return known ? String(described.version) : '0.0.0';
}
