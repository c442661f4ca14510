/** HAProxy's configuration for the one address before all machines, as text. Pure. */

export interface BalancedServer {
  readonly name: string;
  readonly host: string;
  /** Where the service answers. */
  readonly servicePort: number;
  /** Where the machine says whether it wants requests: 200, or 503 while it drains. Each server needs another one. */
  readonly readyPort: number;
}

export interface BalancerPlan {
  readonly listen: {readonly host: string; readonly port: number};
  readonly servers: readonly BalancedServer[];
  /** Holds the control socket and the servers' state over a reload. */
  readonly folder: string;
  /** The service's health page. */
  readonly servicePath: string;
}

export const balancerFiles = {socket: 'control.sock', state: 'servers.state'} as const;

/** Seconds between two health checks. An agent goes on serving for 10 s after it said that it drains: enough to see it. */
const CHECK_SECONDS = 2;
/** A server is out after so many failures in a row; once one has failed they follow each other fast. */
const CHECKS_TO_LEAVE = 2;
const FAST_CHECK = '500ms';
const CHECK_TIMEOUT_SECONDS = 8;

/**
 * A machine gets requests while it says that it is ready and its service answers, both asked in one check. A request
 * is tried on another server only when no connection could be made: never twice on a server that may have seen it.
 */
export function renderBalancerConfig(plan: BalancerPlan): string {
  const {listen, servers, folder, servicePath} = plan;
  return `${[
    'global',
    '  maxconn 2048',
    '  nbthread 1',
    `  stats socket ${folder}/${balancerFiles.socket} mode 600 level admin expose-fd listeners`,
    `  server-state-file ${folder}/${balancerFiles.state}`,
    '  hard-stop-after 120s',
    '',
    'defaults',
    '  mode http',
    // The longest response takes 30 s; a client that is kept alive may be silent longer than that.
    '  timeout connect 10s',
    '  timeout client 150s',
    '  timeout server 150s',
    '  timeout http-keep-alive 300s',
    '  timeout http-request 30s',
    '  timeout queue 30s',
    `  timeout check ${CHECK_TIMEOUT_SECONDS}s`,
    '  retries 3',
    '  retry-on conn-failure',
    '  option redispatch 1',
    // When another process takes over, an idle client is answered once more and told to close, never reset.
    '  option idle-close-on-response',
    '  load-server-state-from-file global',
    '',
    'frontend web',
    `  bind ${listen.host}:${listen.port}`,
    '  default_backend machines',
    '',
    'backend machines',
    '  balance roundrobin',
    // An idle connection to a machine could be closed by it just as it is used again.
    '  option http-server-close',
    '  http-reuse never',
    '  option httpchk',
    // The id of a server is its readiness port, since that is the one number of its own that a check can read.
    '  http-check connect port srv_id',
    '  http-check send meth GET uri / ver HTTP/1.1 hdr host ready hdr connection close',
    '  http-check expect status 200',
    '  http-check connect default',
    `  http-check send meth GET uri ${servicePath} ver HTTP/1.1 hdr host service hdr connection close`,
    '  http-check expect status 200',
    `  default-server inter ${CHECK_SECONDS}s fastinter ${FAST_CHECK} fall ${CHECKS_TO_LEAVE} rise 2`,
    ...servers.map(
      ({name, host, servicePort, readyPort}) =>
        `  server ${name} ${host}:${servicePort} id ${readyPort} check`,
    ),
  ].join('\n')}\n`;
}

export interface ServerState {
  readonly name: string;
  /** It gets requests. HAProxy begins with all servers up, before the first check has ended. */
  readonly up: boolean;
  /** Its last check succeeded. */
  readonly passed: boolean;
}

/** `show servers state`: a line each, words in a fixed order. */
export function parseServersState(text: string): ServerState[] {
  const lines = text.split('\n').filter(line => line !== '' && !/^(?:#|\d+$)/.test(line));
  return lines.map(line => {
    const words = line.split(' ');
    // HAProxy, management guide: srv_op_state 2 is "running", 0 "stopped"
    // srv_check_result: 3 is "passed"
    return {name: words[3] ?? '', up: words[5] === '2', passed: words[11] === '3'};
  });
}
