/**
 * `airlock-method.ts ADDRESS PORT ETCD SLOTS`: FleetLock as coreos/airlock serves it (internal/lock/lock.go): a client of
 * etcd for each request, one read, one compare-and-swap on the key's version, and 500 both when all slots are held and
 * when somebody else came first. Its own program cannot be had from the Go module proxy; this is its method on the same
 * runtime.
 */
import {Etcd3} from 'etcd3';
import fastify from 'fastify';
import {Type} from 'typebox';
import {parseJson, parseValue} from '../../services/common/parse.ts';

const [host = '127.0.0.1', port = '0', etcd = '', slots = '1'] = process.argv.slice(2);
const Semaphore = Type.Object({total_slots: Type.Integer(), holders: Type.Array(Type.String())});
const Body = Type.Object({client_params: Type.Object({id: Type.String(), group: Type.String()})});

/** The next holders, or undefined when nothing is to be written. Throws when there is no room. */
type Change = (holders: readonly string[], id: string) => readonly string[] | undefined;

const app = fastify();
app.post('/v1/pre-reboot', async (request, reply) => {
  await serve(request.body, (holders, id) => {
    if (holders.includes(id)) return undefined;
    if (holders.length >= Number(slots)) throw new Error('all slots held');
    return [...holders, id].sort();
  });
  return reply.send({});
});
app.post('/v1/steady-state', async (request, reply) => {
  await serve(request.body, (holders, id) =>
    holders.includes(id) ? holders.filter(holder => holder !== id) : undefined,
  );
  return reply.send({});
});
await app.listen({host, port: Number(port)});

async function serve(body: unknown, change: Change): Promise<void> {
  const {id, group} = parseValue(Body, body, 'body').client_params;
  const key = `com.coreos.airlock/groups/${encodeURIComponent(group)}/v1/semaphore`;
  const client = new Etcd3({hosts: etcd});
  try {
    const {kvs} = await client.get(key).exec();
    const [found] = kvs;
    const holders =
      found === undefined ? [] : parseJson(Semaphore, found.value.toString('utf8'), key).holders;
    const next = change(holders, id);
    if (next === undefined) return;
    const value = JSON.stringify({total_slots: Number(slots), holders: next});
    const {succeeded} = await client
      .if(key, 'Version', '==', found?.version ?? 0)
      .then(client.put(key).value(value))
      .commit();
    if (!succeeded) throw new Error('conflict');
  } finally {
    client.close();
  }
}
