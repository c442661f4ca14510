/** The load of the demonstration: 22 requests a second on new and kept connections, and slow answers that overlap. */
import {startLoad, type Load} from './load.ts';
import {answererOf, slowPath} from './web-image.ts';

const REQUESTS_PER_SECOND = 22;
/** Emulated machines answer slowly while a neighbour boots on the same processors. */
const FAST_LIMIT_MS = 30_000;
const SLOW_LIMIT_MS = 90_000;

export function startDemoLoad(url: string): Load {
  return startLoad({
    url,
    perSecond: REQUESTS_PER_SECOND,
    fastPath: '/',
    slowPath,
    slowAtOnce: 2,
    fastLimitMs: FAST_LIMIT_MS,
    slowLimitMs: SLOW_LIMIT_MS,
    lanes: 4,
    answerer: answererOf,
  });
}
