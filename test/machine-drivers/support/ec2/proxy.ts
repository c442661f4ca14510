/**
 * A proxy before moto that is as unkind as a cloud: it honours ClientToken, delays states, hides what is new, refuses
 * unknown keys, throttles, answers with errors, and drops requests or answers. It writes down every call.
 */
import {createServer, request as httpRequest} from 'node:http';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {once} from 'node:events';
import {CloudModel, ebsRefusal, refusal, type Reply} from './cloud-model.ts';

export interface Call {
  readonly action: string;
  readonly parameters: URLSearchParams;
}

/** `lose` cuts the connection before the call is carried out, `forget` after it; `spoil` changes the answer. */
export interface Fault {
  readonly action: string;
  readonly kind: 'lose' | 'forget' | 'refuse' | 'spoil';
  /** So many calls go through first. */
  after?: number;
  /** How many calls it meets; one when absent. */
  times?: number;
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
}

export interface Ec2Proxy extends AsyncDisposable {
  readonly url: string;
  readonly model: CloudModel;
  readonly calls: readonly Call[];
  /** The next calls of the action fail. */
  fail(fault: Fault): void;
  /** No further call fails. */
  forgive(): void;
  /** From now on the most calls of an action at the same time are noted. */
  measure(): void;
  mostAtOnce(action: string): number;
  /** Calls of one action so far. */
  count(action: string): number;
  /** Called when an instance was started or ended, for what stands behind it. */
  onInstance?: (action: string, parameters: URLSearchParams, reply: Reply) => Promise<void>;
}

export const accessKey = 'AKIAHAWSERTEST';
export const secretKey = 'hawser-test-secret-that-must-not-be-stored';

/** What the driver's environment holds: nothing of this host's. */
export const awsEnv: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: accessKey,
  AWS_SECRET_ACCESS_KEY: secretKey,
  AWS_EC2_METADATA_DISABLED: 'true',
};

export async function startProxy(motoPort: number): Promise<Ec2Proxy> {
  const model = new CloudModel();
  const calls: Call[] = [];
  const faults: Fault[] = [];
  const underWay = new Map<string, number>();
  const most = new Map<string, number>();
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  const proxy: Ec2Proxy = {
    url: `http://127.0.0.1:${address.port}`,
    model,
    calls,
    fail: fault => void faults.push({...fault}),
    forgive: () => void faults.splice(0),
    measure: () => most.clear(),
    mostAtOnce: action => most.get(action) ?? 0,
    count: action => calls.filter(call => call.action === action).length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (request.url === '/my-address') {
      response.end('127.0.0.1\n');
      return;
    }
    const ebs = ebsAction(request);
    const parameters = ebs === undefined ? new URLSearchParams(body.toString('utf8')) : ebs.parameters;
    // A dry run is a call of its own: no fault of the real one meets it.
    const kind = parameters.get('DryRun') === 'true' ? ' (dry run)' : '';
    const action = ebs?.action ?? `${parameters.get('Action') ?? ''}${kind}`;
    calls.push({action, parameters});
    if (!(request.headers.authorization ?? '').includes(`Credential=${accessKey}/`)) {
      send(
        response,
        refusal('AuthFailure', 'AWS was not able to validate the provided access credentials', 401),
      );
      return;
    }
    const now = (underWay.get(action) ?? 0) + 1;
    underWay.set(action, now);
    most.set(action, Math.max(now, most.get(action) ?? 0));
    response.once('close', () => underWay.set(action, (underWay.get(action) ?? 1) - 1));
    const fault = take(action);
    if (fault?.kind === 'lose') return void response.destroy();
    if (fault?.kind === 'refuse') {
      const {status = 400, code = 'InternalError', message = 'as the test wants it'} = fault;
      send(response, ebs === undefined ? refusal(code, message, status) : ebsRefusal(status, code, message));
      return;
    }
    const forward = () => ask(motoPort, request, body);
    const reply =
      ebs === undefined
        ? await ec2Reply({action, parameters}, request, forward)
        : await ebsReply(ebs, request, body, forward);
    if (reply.status === 200) await proxy.onInstance?.(action, parameters, reply);
    if (fault?.kind === 'forget') return void response.destroy();
    send(response, fault?.kind === 'spoil' ? spoil(action, reply) : reply);
  }

  function take(action: string): Fault | undefined {
    const fault = faults.find(one => one.action === action && (one.times ?? 1) > 0);
    if (fault === undefined) return undefined;
    if ((fault.after ?? 0) > 0) {
      fault.after = (fault.after ?? 0) - 1;
      return undefined;
    }
    fault.times = (fault.times ?? 1) - 1;
    return fault;
  }

  async function ec2Reply(
    {action, parameters}: Call,
    request: IncomingMessage,
    forward: () => Promise<Reply>,
  ): Promise<Reply> {
    const early = model.before(action, parameters);
    if (early !== undefined) return early;
    const make = async () => {
      const reply = model.after(action, parameters, await forward());
      const tags = action === 'RegisterImage' ? model.imageTags(parameters, reply) : undefined;
      if (tags !== undefined) await ask(motoPort, request, Buffer.from(tags.toString()));
      return reply;
    };
    return action === 'RunInstances' ? model.once(parameters, make) : make();
  }

  async function ebsReply(
    {action, parameters}: Call,
    request: IncomingMessage,
    body: Buffer,
    forward: () => Promise<Reply>,
  ): Promise<Reply> {
    const id = parameters.get('SnapshotId') ?? '';
    const header = (name: string) => String(request.headers[name] ?? '');
    if (action === 'PutSnapshotBlock') {
      const refused = model.checkBlock(
        id,
        Number(parameters.get('BlockIndex')),
        header('x-amz-checksum'),
        body,
      );
      if (refused !== undefined) return refused;
    }
    if (action === 'CompleteSnapshot') {
      const count = Number(header('x-amz-changedblockscount'));
      const refused = model.checkCompletion(id, count, header('x-amz-checksum'));
      if (refused !== undefined) return refused;
    }
    if (action === 'StartSnapshot') {
      const {ClientToken} = JSON.parse(body.toString('utf8')) as {ClientToken?: string};
      const asked = new URLSearchParams({ClientToken: ClientToken ?? '', body: body.toString('utf8')});
      return model.once(asked, async () => {
        const begun = inBytes(await forward());
        const {SnapshotId} = JSON.parse(begun.body.toString('utf8')) as {SnapshotId?: string};
        if (SnapshotId !== undefined) model.beganSnapshot(SnapshotId);
        return begun;
      });
    }
    const reply = await forward();
    if (action === 'ListSnapshotBlocks') return inBytes(reply, answer => page(answer, parameters));
    return reply;
  }

  return proxy;
}

/** moto counts blocks in KiB. */
function inBytes(reply: Reply, more: (answer: Record<string, unknown>) => object = () => ({})): Reply {
  if (reply.status >= 300) return reply;
  const answer = JSON.parse(reply.body.toString('utf8')) as Record<string, unknown>;
  return {...reply, body: Buffer.from(JSON.stringify({...answer, BlockSize: 524_288, ...more(answer)}))};
}

/** Another first byte, or a block less in a list. */
function spoil(action: string, reply: Reply): Reply {
  if (action === 'ListSnapshotBlocks') {
    const answer = JSON.parse(reply.body.toString('utf8')) as {Blocks: unknown[]};
    return {...reply, body: Buffer.from(JSON.stringify({...answer, Blocks: answer.Blocks.slice(1)}))};
  }
  const body = Buffer.from(reply.body);
  body.writeUInt8((body[0] ?? 0) ^ 1, 0);
  return {...reply, body};
}

/** A page of blocks, which moto does not make. */
function page(answer: Record<string, unknown>, parameters: URLSearchParams): object {
  const blocks = (answer['Blocks'] ?? []) as ReadonlyArray<{BlockIndex: number}>;
  const sorted = [...blocks].sort((a, b) => a.BlockIndex - b.BlockIndex);
  const start = Number(parameters.get('pageToken') ?? 0);
  const size = Math.min(100, Number(parameters.get('maxResults') ?? 100));
  const next = start + size;
  return {
    Blocks: sorted.slice(start, next),
    ...(next < sorted.length ? {NextToken: String(next)} : {}),
  };
}

/** EBS speaks REST: the action is in method and path. */
function ebsAction(request: IncomingMessage): Call | undefined {
  const url = new URL(request.url ?? '/', 'http://proxy');
  const [, root, id = '', part, index = ''] = url.pathname.split('/');
  if (root !== 'snapshots') return undefined;
  const parameters = new URLSearchParams(url.searchParams);
  parameters.set('SnapshotId', id);
  parameters.set('BlockIndex', index);
  const names: Readonly<Record<string, string>> = {
    'POST ': 'StartSnapshot',
    'POST completion': 'CompleteSnapshot',
    'PUT blocks': 'PutSnapshotBlock',
    'GET blocks': index === '' ? 'ListSnapshotBlocks' : 'GetSnapshotBlock',
  };
  const key = id === 'completion' ? 'POST completion' : `${request.method} ${part ?? ''}`;
  if (id === 'completion') parameters.set('SnapshotId', part ?? '');
  return {action: names[key] ?? 'unknown', parameters};
}

function ask(port: number, {method, url, headers}: IncomingMessage, body: Buffer): Promise<Reply> {
  const {promise, resolve, reject} = Promise.withResolvers<Reply>();
  const own = {...headers, 'content-length': String(body.length)};
  const outgoing = httpRequest({host: '127.0.0.1', port, method, path: url, headers: own}, response => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const kept = Object.entries(response.headers).flatMap(([name, value]) =>
        ['connection', 'content-length', 'transfer-encoding'].includes(name) || value === undefined
          ? []
          : [[name, String(value)] as const],
      );
      resolve({
        status: response.statusCode ?? 500,
        headers: Object.fromEntries(kept),
        body: Buffer.concat(chunks),
      });
    });
  });
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

function send(response: ServerResponse, {status, headers, body}: Reply): void {
  response.writeHead(status, {...headers, 'content-length': body.length});
  response.end(body);
}
