/** The load client against servers that misbehave on purpose: each kind of failure is counted as what it is. */
import {once} from 'node:events';
import {createServer, type RequestListener} from 'node:http';
import type {AddressInfo} from 'node:net';
import test from 'ava';
import {LoadCount} from '../../../infra/quickstart/load-count.ts';
import {startLoad, type LoadOptions} from '../../../infra/quickstart/load.ts';
import {answererOf} from '../../../infra/quickstart/web-image.ts';

const page = 'hawser web 1.0.0 on m1\n';

async function listening(listener: RequestListener) {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  return {server, url: `http://127.0.0.1:${port}`};
}

const options: Omit<LoadOptions, 'url'> = {
  perSecond: 100,
  fastPath: '/',
  slowPath: '/slow',
  slowAtOnce: 1,
  fastLimitMs: 300,
  slowLimitMs: 1000,
  lanes: 2,
  answerer: body => answererOf(body, false),
};

/** Runs the load against `listener` until `enough` of its requests are settled. */
async function load(listener: RequestListener, enough = 12, over: Partial<LoadOptions> = {}) {
  const {server, url} = await listening(listener);
  const running = startLoad({url, ...options, ...over});
  while (running.report().succeeded + running.report().failed < enough)
    await new Promise(resolve => setTimeout(resolve, 10));
  const report = await running.stop();
  server.closeAllConnections();
  server.close();
  return report;
}

test('a server that answers: nothing failed, both kinds of connection used, the slow answer always under way', async t => {
  let connections = 0;
  let slowNow = 0;
  let slowSeen = 0;
  const {server, url} = await listening((request, response) => {
    if (request.url === '/slow') {
      slowNow++;
      setTimeout(() => {
        slowNow--;
        response.end(page);
      }, 50);
      return;
    }
    if (slowNow > 0) slowSeen++;
    response.end(page);
  });
  server.on('connection', () => connections++);
  const running = startLoad({url, ...options, fastLimitMs: 20_000, slowLimitMs: 20_000});
  while (running.report().succeeded < 60) await new Promise(resolve => setTimeout(resolve, 10));
  const report = await running.stop();
  server.close();
  t.is(report.failed, 0, JSON.stringify(report.failures));
  t.is(report.succeeded, report.sent);
  t.true(report.slowSucceeded > 0);
  t.true(slowSeen > 0);
  t.true(report.onNewConnections > 20 && report.onKeptConnections > 20);
  // Every kept request on a connection of its own would be as many connections as requests.
  t.true(connections < report.sent - 15, `${connections} connections for ${report.sent} requests`);
  t.deepEqual(Object.keys(report.answeredBy), ['1.0.0 on m1']);
});

test('nobody listens: refused', async t => {
  const {server, url} = await listening(() => undefined);
  server.close();
  await once(server, 'close');
  const running = startLoad({url, ...options});
  while (running.report().failed < 5) await new Promise(resolve => setTimeout(resolve, 10));
  const report = await running.stop();
  t.is(report.failedByKind.refused, report.sent);
  t.is(report.succeeded, 0);
  t.regex(report.failures[0]?.detail ?? '', /ECONNREFUSED/);
});

test('the connection is closed before an answer: reset', async t => {
  const report = await load(request => request.socket.destroy());
  t.is(report.failedByKind.reset, report.sent);
});

test('the answer is cut off after its head: reset, though its status was 200', async t => {
  const report = await load((_, response) => {
    response.writeHead(200, {'content-length': 1000});
    response.write('half');
    setTimeout(() => response.destroy(), 5);
  });
  t.is(report.failedByKind.reset, report.sent);
});

test('503 and 302 and 204: not 200', async t => {
  for (const code of [503, 302, 204]) {
    const report = await load((_, response) => response.writeHead(code).end());
    t.is(report.failedByKind.status, report.sent, String(code));
  }
});

test('200 with another page: wrong', async t => {
  const report = await load((_, response) => response.end('<h1>It works!</h1>'));
  t.is(report.failedByKind.wrong, report.sent);
});

test('no answer, or one that never ends: late', async t => {
  const silent = await load(() => undefined, 4);
  t.is(silent.failedByKind.late, silent.sent);
  const endless = await load((_, response) => {
    response.writeHead(200, {'content-length': 10});
    response.write('x');
  }, 4);
  t.is(endless.failedByKind.late, endless.sent);
});

test('a kept connection that the server closes between two requests costs no retry: what it hit has failed', async t => {
  let answered = 0;
  const report = await load(
    (request, response) => {
      // Answers once on each connection, then closes it under the next request.
      if (++answered % 2 === 0) request.socket.destroy();
      else response.end(page);
    },
    20,
    {fastLimitMs: 5000, slowLimitMs: 5000},
  );
  t.true(report.failedByKind.reset > 0);
  t.is(report.failed + report.succeeded, report.sent);
});

test('what is kept of failures is bounded; what is counted is not', t => {
  const count = new LoadCount();
  for (let at = 0; at < 10_000; at++) {
    count.send(at, {path: '/', connection: 'new', slow: false});
    count.fail(at, {path: '/', connection: 'new', slow: false}, 'late', 'x'.repeat(1000));
  }
  for (let each = 0; each < 200; each++)
    count.succeed({path: '/', connection: 'new', slow: false}, 1, `answerer ${each}`);
  const report = count.report(10_000);
  t.is(report.failed, 10_000);
  t.is(report.failures.length, 100);
  t.is(report.failures[0]?.detail.length, 200);
  t.is(Object.keys(report.answeredBy).length, 50);
  t.is(report.leastPerSecond, 1000);
});

test('a second without requests shows as the poorest', t => {
  const count = new LoadCount();
  for (const at of [0, 10, 20, 2000, 2010]) count.send(at, {path: '/', connection: 'kept', slow: false});
  t.is(count.report(3500).leastPerSecond, 0);
});

test('a slow page counts only with its last line', t => {
  t.is(answererOf('line 0\nline 1\ndone hawser web 2.0.0 on m2\n', true), '2.0.0 on m2');
  t.is(answererOf('line 0\nhawser web 2.0.0 on m2\n', true), undefined);
  t.is(answererOf('hawser web 2.0.0 on m2\n', false), '2.0.0 on m2');
  t.is(answererOf('', true), undefined);
});
