/** Boots one image and reads the figures: to the SSH banner, to Docker answering, and at rest. */
import {mkdtemp, rm} from 'node:fs/promises';
import {createConnection} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ProgressStep} from '../../services/common/progress.ts';
import {startVm, type Vm} from '../../test/support/vm/vm.ts';
import {createBenchMachine, type BenchImage} from './bench-machine.ts';
import {BenchError} from './errors.ts';
import {parseProbe, probeScript, type GuestFacts} from './guest-probe.ts';
import {user} from './machine-config.ts';
import {dockerAnswers} from './marker.ts';

const BOOT_LIMIT_SECONDS = 600;
/** Before memory is read, after Docker has answered. */
const SETTLE_SECONDS = 60;
const WINDOW_SECONDS = 30;
const PROBE_LIMIT_SECONDS = 180;
const POWER_OFF_LIMIT_SECONDS = 180;
const BANNER_POLL_MS = 500;

export interface Point {
  /** User and system time of the emulator since power-on. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

export interface BootFigures {
  readonly banner: Point;
  readonly docker: Point;
}

export interface Idle extends GuestFacts {
  /** What the emulator used within the window. */
  readonly cpuSeconds: number;
}

export interface Round {
  readonly first: BootFigures;
  readonly second: BootFigures;
  /** Of the second boot. */
  readonly idle: Idle;
}

/** One fresh disk: first boot, second boot, rest. Nothing of it stays. */
export async function measureRound(
  image: BenchImage,
  toolsRoot: string,
  step: ProgressStep,
  signal: AbortSignal,
): Promise<Round> {
  // short: the monitor's socket lies in it (107 bytes at most)
  const folder = await mkdtemp(join(tmpdir(), 'hb-'));
  try {
    const {machine, hardware} = await createBenchMachine(folder, image, toolsRoot, signal);
    const boot = async <Result>(work: (vm: Vm) => Promise<Result>): Promise<Result> => {
      signal.throwIfAborted();
      const vm = await startVm({machine, ...hardware, user, limitSeconds: 1200});
      try {
        const result = await untilAborted(work(vm), signal);
        await untilAborted(powerOff(vm), signal);
        return result;
      } finally {
        await vm.stop();
      }
    };
    step.update('first boot');
    const first = await boot(vm => bootFigures(vm, signal));
    step.update('second boot');
    return await boot(async vm => {
      const second = await bootFigures(vm, signal);
      step.update('at rest');
      await sleep(SETTLE_SECONDS * 1000, undefined, {signal});
      return {first, second, idle: await measureIdle(vm)};
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

async function bootFigures(vm: Vm, signal: AbortSignal): Promise<BootFigures> {
  const docker = vm.waitFor(dockerAnswers, BOOT_LIMIT_SECONDS, /Kernel panic/);
  const [banner, {cpuSeconds, wallSeconds}] = await Promise.all([waitForBanner(vm, signal), docker]);
  return {banner, docker: {cpuSeconds, wallSeconds}};
}

async function waitForBanner(vm: Vm, signal: AbortSignal): Promise<Point> {
  while (vm.wallSeconds() < BOOT_LIMIT_SECONDS) {
    if (await bannerComes(vm.sshPort)) return {cpuSeconds: vm.cpuSeconds(), wallSeconds: vm.wallSeconds()};
    await sleep(BANNER_POLL_MS, undefined, {signal});
  }
  throw new BenchError('boot-failed', `no SSH banner within ${BOOT_LIMIT_SECONDS} s`);
}

/** User networking accepts every connection by itself: only the banner says that sshd is there. */
function bannerComes(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection({host: '127.0.0.1', port});
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(20_000, () => end(false));
    socket.once('data', data => end(data.toString('latin1').startsWith('SSH-')));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });
}

async function measureIdle(vm: Vm): Promise<Idle> {
  const probe = vm.ssh('sudo sh -s', {seconds: PROBE_LIMIT_SECONDS, input: probeScript(WINDOW_SECONDS)});
  // the middle of the window, so that neither log-in nor the counting at the end is in it
  await sleep((WINDOW_SECONDS / 3) * 1000);
  const before = vm.cpuSeconds();
  const started = vm.wallSeconds();
  await sleep((WINDOW_SECONDS / 3) * 1000);
  const share = (vm.cpuSeconds() - before) / (vm.wallSeconds() - started);
  return {...parseProbe((await probe).stdout), cpuSeconds: share * WINDOW_SECONDS};
}

async function powerOff(vm: Vm): Promise<void> {
  await vm.ssh('sudo systemctl poweroff', {seconds: 60, okCodes: [0, 255]});
  await vm.waitForEnd(POWER_OFF_LIMIT_SECONDS);
}

/** The harness knows no abort signal: leave the wait, `finally` ends the emulator. */
async function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () =>
      reject(signal.reason instanceof Error ? signal.reason : new BenchError('over-time', 'interrupted'));
    signal.addEventListener('abort', abort, {once: true});
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
