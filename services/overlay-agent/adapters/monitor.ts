/** `ip monitor`: that something changed in a namespace of ours, never what. */
import type {Clock} from '../../common/clock.ts';
import {startDaemon} from '../../common/daemon.ts';
import type {AgentLog} from '../ports.ts';

/** Neighbours that come and go by themselves, as containers speak to one another. */
const NOISE = /\b(?:REACHABLE|STALE|DELAY|PROBE|INCOMPLETE)\b/;
/**
 * How a permanent entry that somebody deletes is told, and also every address that does not answer; `ip` does not know
 * which device of which namespace it is. Looked into, but not for each of a flood.
 */
const PERHAPS = /\bFAILED\b/;
const PERHAPS_MS = 500;

/** Runs until the signal fires; started again when it ends. */
export async function monitorKernel(
  env: Readonly<Record<string, string>>,
  changed: () => void,
  clock: Clock,
  log: AgentLog,
  signal: AbortSignal,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hear = (line: string): void => {
    // Lines of the host's own namespace have no [nsid ...].
    if (!line.startsWith('[nsid ') || NOISE.test(line)) return;
    if (!PERHAPS.test(line)) changed();
    else
      timer ??= setTimeout(() => {
        timer = undefined;
        changed();
      }, PERHAPS_MS);
  };
  while (!signal.aborted) {
    try {
      const monitor = await startDaemon(['ip', 'monitor', 'all-nsid', 'link', 'route', 'neigh'], {
        env,
        onLine: hear,
      });
      const stop = (): void => void monitor.stop(500);
      signal.addEventListener('abort', stop, {once: true});
      const how = await monitor.ended;
      signal.removeEventListener('abort', stop);
      if (!signal.aborted) log.warn({how}, 'ip monitor ended');
      changed();
    } catch (error) {
      log.error({err: error}, 'changes in the kernel are noticed by the clock alone');
    }
    await clock.sleep(5000, signal).catch(() => undefined);
  }
  clearTimeout(timer);
}
