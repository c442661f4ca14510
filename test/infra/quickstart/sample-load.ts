import {LoadCount, type LoadReport} from '../../../infra/quickstart/load-count.ts';

/** Ten seconds of a load without failures, on both kinds of connection, with one slow answer; then `change`. */
export function sampleLoad(change: (count: LoadCount) => void = () => undefined): LoadReport {
  const count = new LoadCount();
  for (let at = 0; at < 10_000; at += 40) {
    const sent = {path: '/', connection: at % 80 === 0 ? 'new' : 'kept', slow: at === 0} as const;
    count.send(at, sent);
    count.succeed(sent, 5, '1.0.0 on m1');
  }
  change(count);
  return count.report(10_000);
}
