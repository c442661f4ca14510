/** `udp.ts ADDRESS PORT RATE SECONDS`: sends that many small packets a second, and prints how many the kernel took. */
import {createSocket} from 'node:dgram';
import {setTimeout as delay} from 'node:timers/promises';

const [, , address = '', port = '', rate = '', seconds = ''] = process.argv;
const socket = createSocket('udp4');
const payload = Buffer.alloc(32, 0x68);
let sent = 0;
await new Promise<void>(resolve => socket.connect(Number(port), address, () => resolve()));
const began = performance.now();
const total = Number(rate) * Number(seconds);
for (let asked = 0; asked < total;) {
  const due = Math.min(total, Math.floor(((performance.now() - began) / 1000) * Number(rate)));
  const waiting: Promise<void>[] = [];
  // After a pause of this process itself no more than 10 ms' worth at once: what it then floods would be its own loss.
  const limit = Math.min(due, asked + Math.ceil(Number(rate) / 100));
  for (; asked < limit; asked++)
    waiting.push(
      new Promise(resolve =>
        socket.send(payload, error => {
          if (error === null) sent++;
          resolve();
        }),
      ),
    );
  await Promise.all(waiting);
  if (asked >= due) await delay(1);
}
console.log(sent);
socket.close();
