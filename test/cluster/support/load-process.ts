/** The load client as a process of its own, so that it can run inside a namespace; ends when its input does. */
import {once} from 'node:events';
import {startLoad} from '../../../infra/quickstart/load.ts';
import {answererOf, slowPath} from '../../../infra/quickstart/web-image.ts';

const [, , url = ''] = process.argv;
const load = startLoad({
  url,
  perSecond: 25,
  fastPath: '/',
  slowPath,
  slowAtOnce: 2,
  fastLimitMs: 10_000,
  slowLimitMs: 60_000,
  lanes: 4,
  answerer: answererOf,
});
process.stdin.resume();
await once(process.stdin, 'end');
process.stdout.write(JSON.stringify(await load.stop()));
