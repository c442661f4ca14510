/** Pods that come and go on one machine by CNI, and the history of their addresses. */
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {ExecError} from '../../../services/common/exec.ts';
import type {LabMachine} from '../../../test/cluster/support/lab.ts';
import {between, type Random} from '../random.ts';
import type {Holding} from './history.ts';

export const cniPlugin = join(import.meta.dirname, '../../../image-build/files/usr/lib/cni/hawser');

export interface Pods {
  /** Begins and ends pods at random until the signal fires. */
  churn(signal: AbortSignal): Promise<void>;
  /** Ends what an attempt left behind whose outcome nobody knows; throws when the agent still does not answer. */
  tidy(): Promise<void>;
  /** Pods that run, and their addresses. */
  running(): ReadonlyMap<string, string>;
  readonly history: readonly Holding[];
  readonly counts: {added: number; removed: number; refused: number; unanswered: number};
}

type Shell = (machine: LabMachine, line: string, timeoutMs?: number) => Promise<string>;

export function podsOn(
  machine: LabMachine,
  sh: Shell,
  {network, most, random}: {readonly network: string; readonly most: number; readonly random: Random},
): Pods {
  const history: Holding[] = [];
  const running = new Map<string, string>();
  const unknown = new Set<string>();
  const counts = {added: 0, removed: 0, refused: 0, unanswered: 0};
  let number = 0;
  const config = JSON.stringify({cniVersion: '1.1.0', name: network, type: 'hawser'});
  const cni = (command: string, pod: string) =>
    sh(
      machine,
      `echo '${config}' | env CNI_COMMAND=${command} CNI_CONTAINERID=${pod} CNI_NETNS=/run/netns/${pod} CNI_IFNAME=eth0 ${cniPlugin}`,
      20_000,
    );

  const add = async (): Promise<void> => {
    const pod = `${machine.name}-p${number++}`;
    await sh(machine, `ip netns add ${pod} && ip -n ${pod} link set lo up`);
    try {
      const result = JSON.parse(await cni('ADD', pod)) as {ips: {address: string}[]};
      const address = result.ips[0]?.address.split('/')[0] ?? '';
      history.push({machine: machine.name, pod, address, from: performance.now()});
      running.set(pod, address);
      counts.added++;
    } catch (error) {
      if (!(error instanceof ExecError)) throw error;
      const answered = /"code":100/.test(error.result.stdout);
      counts[answered ? 'refused' : 'unanswered']++;
      unknown.add(pod);
    }
  };
  const remove = async (pod: string): Promise<void> => {
    const index = history.findIndex(each => each.pod === pod);
    const holding = history[index];
    if (holding?.to === undefined && holding !== undefined)
      history[index] = {...holding, to: performance.now()};
    running.delete(pod);
    unknown.add(pod);
    await cni('DEL', pod);
    await sh(machine, `ip netns del ${pod}`);
    unknown.delete(pod);
    counts.removed++;
  };
  const tidy = async (): Promise<void> => {
    for (const pod of unknown) await remove(pod);
  };
  return {
    churn: async signal => {
      while (!signal.aborted) {
        try {
          // As a runtime does: what is in doubt is taken away first.
          await tidy();
          const pods = [...running.keys()];
          const grow = pods.length === 0 || (pods.length < most && random() < 0.55);
          if (grow) await add();
          else await remove(pods[between(random, 0, pods.length - 1)] ?? '');
        } catch (error) {
          if (!(error instanceof ExecError)) throw error;
          counts.unanswered++;
        }
        await delay(between(random, 50, 600));
      }
    },
    tidy,
    running: () => running,
    history,
    counts,
  };
}
