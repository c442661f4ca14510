/** Open connections to this machine's ports: to its own sockets, and those that are forwarded into containers. */
import {readFile} from 'node:fs/promises';
import {exec, ExecError} from '../../common/exec.ts';

const TIMEOUT_MS = 20_000;
/** The kernel forgets a connection whose ends say nothing after this many seconds: five days, by default. */
const forgetAfterFile = '/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established';
/** Silent for longer: its client may be gone without a word, and would hold up every update. */
const silentSeconds = 3600;
/** nf_conntrack_tcp_timeout_unacknowledged: with data on its way, the countdown begins here. */
const unacknowledgedSeconds = 300;

/** How many are open now. Throws when neither way of counting works. */
export async function openConnections(ports: readonly number[]): Promise<number> {
  if (ports.length === 0) return 0;
  const filter = ports.flatMap((port, index) => [...(index === 0 ? [] : ['or']), 'sport', '=', `:${port}`]);
  const sockets = await exec(['ss', '-Htn', 'state', 'established', '(', ...filter, ')'], {
    timeoutMs: TIMEOUT_MS,
  });
  const own = sockets.stdout.split('\n').filter(line => line.trim() !== '').length;
  return own + (await forwarded(ports));
}

/** Published ports never reach a socket of the host: the kernel forwards them, and keeps account. */
async function forwarded(ports: readonly number[]): Promise<number> {
  try {
    const argv = ['conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED'];
    const {stdout} = await exec(argv, {timeoutMs: TIMEOUT_MS});
    return countForwarded(stdout, ports, await forgetAfter());
  } catch (error) {
    // No connection tracking in this kernel: nothing is forwarded.
    if (error instanceof ExecError && (error.code === 'failed' || error.code === 'not-found')) return 0;
    throw error;
  }
}

async function forgetAfter(): Promise<number | undefined> {
  const seconds = Number(await readFile(forgetAfterFile, 'utf8').catch(() => ''));
  return seconds > 0 ? seconds : undefined;
}

/**
 * Entries whose answer comes from somewhere else than was asked: forwarded ones, to one of `ports`, that were heard of
 * within the last hour. `forgetAfter` is what the countdown of an entry begins with; undefined counts all. Pure.
 */
export function countForwarded(table: string, ports: readonly number[], forgetAfter?: number): number {
  return table.split('\n').filter(line => {
    const left = Number(/^tcp\s+6\s+(\d+)\s/.exec(line)?.[1] ?? Number.NaN);
    if (forgetAfter !== undefined && left > unacknowledgedSeconds && forgetAfter - left > silentSeconds)
      return false;
    const asked = /\bdst=(\S+) sport=\d+ dport=(\d+)/.exec(line);
    const answers = [...line.matchAll(/\bsrc=(\S+)/g)][1];
    return (
      asked !== null && answers !== undefined && asked[1] !== answers[1] && ports.includes(Number(asked[2]))
    );
  }).length;
}
