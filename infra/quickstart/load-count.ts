/** What the load client counts: pure. */

export type FailureKind =
  /** No connection. */
  | 'refused'
  /** The connection ended before the whole answer was there. */
  | 'reset'
  /** An answer that is not 200. */
  | 'status'
  /** 200, and not the page. */
  | 'wrong'
  /** Not there in time. */
  | 'late';

export interface Failure {
  /** Milliseconds since the load began. */
  readonly at: number;
  readonly path: string;
  readonly connection: 'new' | 'kept';
  readonly kind: FailureKind;
  readonly detail: string;
}

export interface LoadReport {
  readonly sent: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly failedByKind: Readonly<Record<FailureKind, number>>;
  /** The first ones. */
  readonly failures: readonly Failure[];
  readonly onNewConnections: number;
  readonly onKeptConnections: number;
  readonly slowSucceeded: number;
  /** Requests sent in the poorest full second. */
  readonly leastPerSecond: number;
  readonly seconds: number;
  readonly slowestMs: number;
  /** Answers by the words that the page ends with: which machine, which version. */
  readonly answeredBy: Readonly<Record<string, number>>;
}

export interface Sent {
  readonly path: string;
  readonly connection: 'new' | 'kept';
  readonly slow: boolean;
}

const KEPT_FAILURES = 100;
const MAX_ANSWERERS = 50;

export class LoadCount {
  private sent = 0;
  private succeeded = 0;
  private slowSucceeded = 0;
  private slowestMs = 0;
  private readonly byConnection = {new: 0, kept: 0};
  private readonly byKind: Record<FailureKind, number> = {refused: 0, reset: 0, status: 0, wrong: 0, late: 0};
  private readonly failures: Failure[] = [];
  private readonly perSecond: number[] = [];
  private readonly answeredBy = new Map<string, number>();

  /** `at`: milliseconds since the load began. */
  send(at: number, {connection}: Sent): void {
    this.sent++;
    this.byConnection[connection]++;
    const second = Math.floor(at / 1000);
    while (this.perSecond.length <= second) this.perSecond.push(0);
    this.perSecond[second] = (this.perSecond[second] ?? 0) + 1;
  }

  succeed(sent: Sent, tookMs: number, answerer: string): void {
    this.succeeded++;
    if (sent.slow) this.slowSucceeded++;
    else this.slowestMs = Math.max(this.slowestMs, Math.round(tookMs));
    const known = this.answeredBy.get(answerer);
    if (known !== undefined || this.answeredBy.size < MAX_ANSWERERS)
      this.answeredBy.set(answerer, (known ?? 0) + 1);
  }

  fail(at: number, {path, connection}: Sent, kind: FailureKind, detail: string): void {
    this.byKind[kind]++;
    if (this.failures.length < KEPT_FAILURES)
      this.failures.push({at: Math.round(at), path, connection, kind, detail: detail.slice(0, 200)});
  }

  report(ms: number): LoadReport {
    // The last second is not over.
    const full = this.perSecond.slice(0, Math.floor(ms / 1000));
    return {
      sent: this.sent,
      succeeded: this.succeeded,
      failed: Object.values(this.byKind).reduce((sum, count) => sum + count, 0),
      failedByKind: {...this.byKind},
      failures: [...this.failures],
      onNewConnections: this.byConnection.new,
      onKeptConnections: this.byConnection.kept,
      slowSucceeded: this.slowSucceeded,
      leastPerSecond: full.length === 0 ? 0 : Math.min(...full),
      seconds: Math.round(ms / 100) / 10,
      slowestMs: this.slowestMs,
      answeredBy: Object.fromEntries([...this.answeredBy].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}
