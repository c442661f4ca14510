/**
 * The client of the demonstration: so many requests a second whatever the answers are like, half of them on new
 * connections, half on kept ones, and slow ones that overlap, so that one is always in flight. It never retries: what
 * does not come whole, right and in time has failed.
 */
import {Agent, request} from 'node:http';
import {systemErrorCode} from '../../services/common/errors.ts';
import {LoadCount, type FailureKind, type LoadReport, type Sent} from './load-count.ts';

export interface LoadOptions {
  readonly url: string;
  readonly perSecond: number;
  readonly fastPath: string;
  readonly slowPath: string;
  /** Slow requests in flight at any time. */
  readonly slowAtOnce: number;
  /** Past these an answer is late. */
  readonly fastLimitMs: number;
  readonly slowLimitMs: number;
  /** Kept-alive connections that take turns. */
  readonly lanes: number;
  /** What of a right page names its origin; undefined for a wrong page. */
  readonly answerer: (body: string, slow: boolean) => string | undefined;
}

export interface Load {
  report(): LoadReport;
  /** Sends nothing more, waits for what is in flight, counts it. */
  stop(): Promise<LoadReport>;
}

const TICK_MS = 20;
const MAX_BODY = 1 << 16;

export function startLoad(options: LoadOptions): Load {
  const count = new LoadCount();
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  const lanes = Array.from({length: options.lanes}, () => keptAgent());
  const slowLane = keptAgent();
  const inFlight = new Set<Promise<void>>();
  let next = 0;
  let slow = 0;
  let slowNumber = 0;

  const launch = (sent: Sent, agent: Agent | false, limitMs: number, after?: () => void) => {
    const begun = elapsed();
    count.send(begun, sent);
    const work = fetchOnce(options.url, sent.path, agent, limitMs).then(outcome => {
      const answerer = outcome.ok ? options.answerer(outcome.body, sent.slow) : undefined;
      if (!outcome.ok) count.fail(elapsed(), sent, outcome.kind, outcome.detail);
      else if (answerer === undefined) count.fail(elapsed(), sent, 'wrong', outcome.body);
      else count.succeed(sent, elapsed() - begun, answerer);
      inFlight.delete(work);
      after?.();
    });
    inFlight.add(work);
  };
  const launchSlow = () => {
    const kept = slowNumber++ % 2 === 1;
    slow++;
    launch(
      {path: options.slowPath, connection: kept ? 'kept' : 'new', slow: true},
      kept ? slowLane : false,
      options.slowLimitMs,
      () => slow--,
    );
  };
  const timer = setInterval(() => {
    const due = Math.floor((elapsed() * options.perSecond) / 1000);
    for (; next < due; next++) {
      const kept = next % 2 === 1;
      const lane = lanes[Math.floor(next / 2) % lanes.length];
      launch(
        {path: options.fastPath, connection: kept ? 'kept' : 'new', slow: false},
        kept && lane !== undefined ? lane : false,
        options.fastLimitMs,
      );
    }
    if (slow < options.slowAtOnce) launchSlow();
  }, TICK_MS);
  launchSlow();

  return {
    report: () => count.report(elapsed()),
    stop: async () => {
      const ms = elapsed();
      clearInterval(timer);
      while (inFlight.size > 0) await Promise.all(inFlight);
      for (const lane of [...lanes, slowLane]) lane.destroy();
      return count.report(ms);
    },
  };
}

/** One connection that is used again and again; when the server ends it, a new one takes its place. */
function keptAgent(): Agent {
  return new Agent({keepAlive: true, maxSockets: 1});
}

type Outcome =
  | {readonly ok: true; readonly body: string}
  | {readonly ok: false; readonly kind: FailureKind; readonly detail: string};

/** The limit runs from here, so an answer that waited for its turn on a kept connection is late too. */
function fetchOnce(url: string, path: string, agent: Agent | false, limitMs: number): Promise<Outcome> {
  return new Promise(resolve => {
    let body = '';
    let answered = false;
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    const call = request(new URL(path, url), {agent}, response => {
      answered = true;
      if (response.statusCode !== 200) {
        response.resume();
        end({ok: false, kind: 'status', detail: `status ${response.statusCode}`});
        return;
      }
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (body.length < MAX_BODY) body += chunk;
      });
      response.on('error', error => end({ok: false, kind: 'reset', detail: error.message}));
      response.on('end', () =>
        end(
          response.complete ? {ok: true, body} : {ok: false, kind: 'reset', detail: 'the answer was cut off'},
        ),
      );
    });
    const timer = setTimeout(() => {
      end({ok: false, kind: 'late', detail: answered ? 'the answer did not end' : 'no answer'});
      call.destroy();
    }, limitMs);
    call.on('error', error => {
      const code = systemErrorCode(error) ?? '';
      const refused = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'].includes(code);
      end({ok: false, kind: refused ? 'refused' : 'reset', detail: `${code} ${error.message}`});
    });
    call.end();
  });
}
