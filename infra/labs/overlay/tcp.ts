/** `tcp.ts serve PORT` answers; `tcp.ts send ADDRESS PORT SECONDS` prints bytes a second; `tcp.ts echo ADDRESS PORT COUNT` the median round trip in µs. */
import {once} from 'node:events';
import {connect, createServer} from 'node:net';
import {median} from '../../bench/statistics.ts';

const [, , verb = '', ...rest] = process.argv;

async function serve(port: number): Promise<void> {
  const server = createServer({noDelay: true}, socket => {
    let first: number | undefined;
    socket.on('error', () => socket.destroy());
    socket.on('data', chunk => {
      // The first byte says what is wanted: e for an echo, anything else is thrown away.
      first ??= chunk[0];
      if (first === 0x65) socket.write(chunk);
    });
  }).listen(port, '0.0.0.0');
  await once(server, 'listening');
  console.log('ready');
  process.stdin.resume().on('end', () => process.exit(0));
}

async function send(address: string, port: number, seconds: number): Promise<void> {
  const socket = connect(port, address);
  await once(socket, 'connect');
  const chunk = Buffer.alloc(256 * 1024, 0x73);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) if (!socket.write(chunk)) await once(socket, 'drain');
  const {bytesWritten} = socket;
  socket.destroy();
  console.log(bytesWritten / seconds);
}

async function echo(address: string, port: number, count: number): Promise<void> {
  const socket = connect({port, host: address, noDelay: true});
  await once(socket, 'connect');
  const times: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    const begun = performance.now();
    socket.write('e');
    await once(socket, 'data');
    times.push((performance.now() - begun) * 1000);
  }
  socket.destroy();
  console.log(median(times) ?? 0);
}

const [first = '', second = '', third = ''] = rest;
if (verb === 'serve') await serve(Number(first));
else if (verb === 'send') await send(first, Number(second), Number(third));
else await echo(first, Number(second), Number(third));
