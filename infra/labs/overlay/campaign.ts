/**
 * The campaign: real agents on machines in namespaces, the real server on three real members of etcd, pods that come and go
 * by CNI; agents, members and the server are killed, paused and cut off at random, and now and then all of etcd is wiped.
 * In the end no address was ever with two, and every pod reaches every other.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../../services/common/exec.ts';
import {startLab, type LabMachine} from '../../../test/cluster/support/lab.ts';
import {startOverlayLab, succeeds, until, type Running} from '../../../test/cluster/support/overlay-lab.ts';
import {between, createRandom, pick} from '../random.ts';
import {heldTwice, type Holding} from './history.ts';
import {answers, clientUrl, makeStoreTls, membersOn, wipe} from './members.ts';
import {podsOn} from './pods.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly machines: number;
  /** Times that all of etcd is wiped, spread over the run. */
  readonly wipes: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface CampaignResult {
  readonly history: readonly Holding[];
  readonly violations: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

const network = 'web';
/** 62 addresses in blocks of two: scarce, so that blocks change hands. */
const subnet = '10.99.0.0/26';

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const {seed, seconds, machines: count, log} = options;
  const random = createRandom(seed);
  const names = Array.from({length: count}, (_, index) => `m${index + 1}`);
  const folder = await mkdtemp(join(tmpdir(), 'hawser-campaign-'));
  const lab = await startLab([...names, 'e1', 'e2', 'e3'], 'none');
  const machines = lab.machines.slice(0, count);
  const etcds = lab.machines.slice(count);
  const tls = await makeStoreTls(etcds, folder);
  const members = membersOn(etcds, folder, tls);
  const overlay = await startOverlayLab(lab, {
    settings: {idleSeconds: 15},
    serverFlags: [
      ...etcds.flatMap(machine => ['--etcd', clientUrl(machine)]),
      '--etcd-ca',
      tls.ca,
      '--etcd-cert',
      tls.certificate,
      '--etcd-key',
      tls.key,
    ],
  });
  const figures: Record<string, number> = {};
  const counted = (what: string): void => void (figures[what] = (figures[what] ?? 0) + 1);
  const stop = AbortSignal.any([options.signal, AbortSignal.timeout(seconds * 1000)]);
  const link = ({name}: LabMachine, up: boolean) =>
    exec(
      [
        ...lab.enterHub,
        'ip',
        'link',
        'set',
        `v${lab.machines.findIndex(each => each.name === name)}`,
        up ? 'up' : 'down',
      ],
      {timeoutMs: 10_000},
    );
  try {
    for (const member of members) member.start();
    await answers(etcds, lab.enterHub, tls);
    let server = await overlay.startServer();
    const agents = new Map<string, Running>();
    for (const machine of machines) agents.set(machine.name, await overlay.startAgent(machine));
    await overlay.hawser('net', 'create', network, '--subnet', subnet);
    const pods = machines.map(machine =>
      podsOn(machine, overlay.sh, {network, most: 8, random: createRandom(between(random, 1, 2 ** 30))}),
    );

    const once = async (): Promise<void> => {
      const lasting = () =>
        delay(between(random, 300, 6000), undefined, {signal: options.signal}).catch(() => undefined);
      const [role, kind] = [
        pick(random, ['agent', 'agent', 'etcd', 'etcd', 'server'] as const),
        pick(random, ['kill', 'pause', 'cut'] as const),
      ];
      if (role === 'server') {
        counted(`${kind === 'kill' ? 'kill' : 'pause'} server`);
        if (kind === 'kill') {
          await server.kill();
          await lasting();
          server = await overlay.startServer();
        } else {
          await server.tell('SIGSTOP');
          await lasting();
          await server.tell('SIGCONT');
        }
        return;
      }
      const machine = pick(random, role === 'agent' ? machines : etcds);
      counted(`${kind} ${role}`);
      log(`${kind} ${role} ${machine.name}`);
      const member = members.find(({name}) => name === machine.name);
      const agent = agents.get(machine.name);
      if (kind === 'cut') {
        await link(machine, false);
        await lasting();
        await link(machine, true);
      } else if (kind === 'pause') {
        await (member ?? agent)?.tell('SIGSTOP');
        await lasting();
        await (member ?? agent)?.tell('SIGCONT');
      } else {
        await (member ?? agent)?.kill();
        await lasting();
        if (member === undefined) agents.set(machine.name, await overlay.startAgent(machine));
        else member.start();
      }
    };
    // One fault after the other: what is wiped is not killed as well.
    let turn: Promise<void> = Promise.resolve();
    const alone = (fault: () => Promise<void>): Promise<void> => (turn = turn.then(fault));
    const faults = async (): Promise<void> => {
      await delay(1000);
      while (!stop.aborted) {
        await alone(once);
        await delay(between(random, 200, 2500));
      }
    };
    const wipes = async (): Promise<void> => {
      for (let left = options.wipes; left > 0; left--) {
        await delay((seconds * 1000) / (options.wipes + 1), undefined, {signal: stop}).catch(() => undefined);
        if (stop.aborted) return;
        await alone(async () => {
          log('wipe etcd');
          counted('wipe etcd');
          await wipe(members, folder);
          await answers(etcds, lab.enterHub, tls);
        });
      }
    };
    await Promise.all([faults(), wipes(), ...pods.map(each => each.churn(stop))]);
    options.signal.throwIfAborted();

    log('mended: everything has to be right again');
    const violations: string[] = [];
    for (const [index, each] of pods.entries())
      await until(
        () => succeeds(each.tidy()),
        () => `${machines[index]?.name} does not take back what is in doubt`,
        120_000,
      );
    figures['ms until check finds nothing'] = await until(
      async () => (await overlay.hawser('net', 'check')).includes('nothing is wrong'),
      () => 'hawser net check still finds something',
      180_000,
    );
    for (const [index, each] of pods.entries()) {
      const machine = machines[index];
      for (const pod of each.running().keys())
        for (const other of pods.flatMap(list => [...list.running()])) {
          if (machine === undefined || other[0] === pod) continue;
          const reached = await succeeds(
            overlay.sh(machine, `ip netns exec ${pod} busybox ping -c 2 -W 2 -q ${other[1]}`),
          );
          counted('pairs of pods');
          if (!reached) violations.push(`${pod} does not reach ${other[0]} at ${other[1]}`);
        }
    }
    const history = pods.flatMap(each => each.history);
    violations.push(...heldTwice(history));
    for (const {counts} of pods)
      for (const [what, times] of Object.entries(counts)) figures[what] = (figures[what] ?? 0) + times;
    figures['addresses used'] = new Set(history.map(({address}) => address)).size;
    if (violations.length > 0)
      for (const [name, {log: text}] of agents) log(`${name}: ${text().slice(-2000)}`);
    return {history, violations, figures};
  } finally {
    for (const each of members) await each.kill();
    for (const machine of lab.machines) await link(machine, true).catch(() => undefined);
    await overlay.close();
    await lab.close();
    await rm(folder, {recursive: true, force: true, maxRetries: 5});
  }
}
