/** Simulated hosts in a process of their own: each follows the server and says when a block came to it. */
import {request} from 'node:http';
import {createInterface} from 'node:readline';
import {WatchLine} from '../../../services/common/contracts/overlay.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {FollowedState} from '../../../services/overlay-agent/state.ts';

const [, , socketPath = '', count = '0'] = process.argv;
const hosts = Number(count);
/** Block → how many hosts have it. */
const arrived = new Map<string, number>();
let ready = 0;

function say(value: object): void {
  process.stdout.write(`${JSON.stringify({...value, at: performance.timeOrigin + performance.now()})}\n`);
}

function follow(number: number): void {
  const headers = {'x-machine': String(number)};
  const outgoing = request({socketPath, path: '/v1/overlay/watch', agent: false, headers}, incoming => {
    let state: FollowedState | undefined;
    let partial = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (chunk: string) => {
      const lines = `${partial}${chunk}`.split('\n');
      partial = lines.pop() ?? '';
      for (const text of lines) {
        const line = parseJson(WatchLine, text, 'a line of the watch');
        if (line.kind === 'all') {
          state = FollowedState.from(line);
          ready++;
          if (ready === hosts) say({ready});
        } else if (line.kind === 'changes' && state !== undefined) {
          state.take(line);
          for (const {kind, key} of line.items) if (kind === 'leases') count1(key);
        }
      }
    });
    incoming.on('end', () => say({ended: number}));
  });
  outgoing.on('error', error => say({failed: error.message}));
  outgoing.end();
}

function count1(key: string): void {
  const all = (arrived.get(key) ?? 0) + 1;
  arrived.set(key, all);
  if (all === hosts) say({block: key});
}

for (let number = 1; number <= hosts; number++) follow(number);
// Ends with its parent.
createInterface({input: process.stdin}).on('close', () => process.exit(0));
