/**
 * Out of service and back. First in the drain, last in the return: the one address that stands before all machines.
 * Every step can be done again, so an interrupted drain is simply begun anew.
 */
import {mkdir, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Type} from 'typebox';
import type {Clock} from '../../common/clock.ts';
import type {ClusterFacts} from '../../common/contracts/lock.ts';
import {describeError} from '../../common/errors.ts';
import {exec, ExecError} from '../../common/exec.ts';
import {syncFolder, writeFileAtomic} from '../../common/fs-atomic.ts';
import {parseValue} from '../../common/parse.ts';
import type {DockerApi} from '../adapters/docker.ts';
import {etcdFacts, etcdMember} from '../adapters/etcd.ts';
import {UpdateAgentError} from '../errors.ts';
import {executables} from '../health/operator-checks.ts';
import type {DrainPort} from '../ports.ts';
import {openConnections} from './connections.ts';
import {publishedPorts, PublishingContainer, PublishingService} from './published-ports.ts';
import {findSwarm, setAvailability, swarmBlockers, swarmFacts} from './swarm.ts';

const POLL_MS = 1000;
/** Seconds without a change after which a wait is told anew. */
const sayAgainSeconds = 30;

export interface DrainOptions {
  /** While this file is there the machine says `draining` (systemd/hawser-ready@.service). In /var: it outlives the reboot. */
  readonly marker: string;
  readonly hooks: string;
  /** Whose open connections are waited for; undefined for those that Docker publishes on this machine. */
  readonly ports: readonly number[] | undefined;
  readonly leaveSeconds: number;
  /** For each of: connections, Swarm, every hook. */
  readonly timeoutSeconds: number;
  readonly docker: DockerApi;
  readonly clock: Clock;
  /** Milliseconds that never jump. */
  monotonicMs(): number;
  readonly connections?: (ports: readonly number[]) => Promise<number>;
  readonly log: (line: string) => void;
}

class Blocked extends Error {}

export function drains(options: DrainOptions): DrainPort {
  const {docker, clock, log} = options;
  const connections = options.connections ?? openConnections;
  return {
    async drain(waiting) {
      try {
        await mkdir(dirname(options.marker), {recursive: true});
        await writeFileAtomic(options.marker, '', 0o644);
        if (options.leaveSeconds > 0) {
          waiting(`the balancers, ${options.leaveSeconds} s`);
          await clock.sleep(options.leaveSeconds * 1000);
        }
        const ports = options.ports ?? (await publishedHere());
        await until(waiting, async () => {
          const open = await connections(ports);
          return open === 0 ? [] : [`${open} open connections`];
        });
        await drainSwarm(waiting);
        await runHooks('drain', waiting);
        return {kind: 'drained'};
      } catch (error) {
        return {
          kind: error instanceof Blocked ? 'drain-blocked' : 'drain-failed',
          detail: describeError(error),
        };
      }
    },

    async undo(waiting) {
      try {
        await runHooks('return', waiting);
        const swarm = await findSwarm(docker).catch(() => undefined);
        if (swarm?.manager) {
          await setAvailability(docker, swarm.node, 'active');
          try {
            await until(waiting, () => swarmBlockers(docker, swarm.node, 'return'));
          } catch (error) {
            // They may have been missing before; holding this machine back would not bring them.
            if (!(error instanceof Blocked)) throw error;
            log(`the Swarm is not whole: ${error.message}`);
          }
        }
        await rm(options.marker, {force: true});
        await syncFolder(dirname(options.marker));
        return {kind: 'returned'};
      } catch (error) {
        return {kind: 'return-failed', detail: describeError(error)};
      }
    },

    async clusters() {
      const facts: ClusterFacts[] = [];
      const etcd = await etcdMember();
      if (etcd !== undefined) facts.push(await etcdFacts(etcd).catch(error => unknown('etcd', error)));
      const swarm = await findSwarm(docker).catch(() => undefined);
      if (swarm?.manager) facts.push(await swarmFacts(docker, swarm).catch(error => unknown('swarm', error)));
      return facts;
    },
  };

  /** Before Swarm is drained: its services' ports lead through every machine, wherever their tasks run. */
  async function publishedHere(): Promise<readonly number[]> {
    try {
      const swarm = await findSwarm(docker);
      const [containers, services] = [
        await docker.get('/containers/json'),
        // Only managers know them; on a worker those of its own containers are all that can be seen.
        swarm?.manager ? await docker.get('/services') : [],
      ];
      const ports = publishedPorts(
        parseValue(Type.Array(PublishingContainer), containers, "Docker's list of containers"),
        parseValue(Type.Array(PublishingService), services, 'the services'),
      );
      log(`published TCP ports: ${ports.length === 0 ? 'none' : ports.join(', ')}`);
      return ports;
    } catch (error) {
      if (!(error instanceof UpdateAgentError && error.code === 'unreachable')) throw error;
      log(`no connections are waited for: ${error.message}`);
      return [];
    }
  }

  /** A cluster that cannot be seen has no quorum to spare: the guard refuses. */
  function unknown(kind: ClusterFacts['kind'], error: unknown): ClusterFacts {
    log(`the ${kind} cluster cannot be seen: ${describeError(error)}`);
    return {kind, cluster: 'unknown', members: 1, healthy: 0};
  }

  async function drainSwarm(waiting: (what: string) => void): Promise<void> {
    // Without Docker there is nothing to drain of it.
    const swarm = await findSwarm(docker).catch(() => undefined);
    if (swarm === undefined) return;
    if (!swarm.manager) {
      log('this node is a worker: only a manager can drain it; a hook may ask one');
      return;
    }
    await setAvailability(docker, swarm.node, 'drain');
    await until(waiting, () => swarmBlockers(docker, swarm.node, 'drain'));
  }

  async function until(waiting: (what: string) => void, blockers: () => Promise<string[]>): Promise<void> {
    const deadline = options.monotonicMs() + options.timeoutSeconds * 1000;
    let said = '';
    let saidAt = 0;
    for (;;) {
      const left = await blockers();
      if (left.length === 0) return;
      const now = options.monotonicMs();
      const what = left.join(', ');
      if (now >= deadline) throw new Blocked(`${what} after ${options.timeoutSeconds} s`);
      if (what !== said && (said === '' || now - saidAt >= sayAgainSeconds * 1000)) {
        waiting(what);
        said = what;
        saidAt = now;
      }
      await clock.sleep(POLL_MS);
    }
  }

  async function runHooks(word: 'drain' | 'return', waiting: (what: string) => void): Promise<void> {
    const names = await executables(options.hooks);
    for (const name of word === 'drain' ? names : names.toReversed()) {
      waiting(`the hook ${name}`);
      try {
        await exec([join(options.hooks, name), word], {
          timeoutMs: Math.max(1, options.timeoutSeconds) * 1000,
        });
      } catch (error) {
        if (error instanceof ExecError && error.code === 'timeout') throw new Blocked(error.message);
        throw error;
      }
    }
  }
}
