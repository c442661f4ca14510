/**
 * A real machine for tests: QEMU with its serial console read, SSH, QMP and the CPU seconds that it cost.
 *
 * `stop` is to be called whatever happened (t.teardown); a process that ends without it kills its VMs too.
 */
import {readFileSync} from 'node:fs';
import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {ExecError, exec, type ExecResult} from '../../../services/common/exec.ts';
import {qmp} from '../../../machine-drivers/drivers/qemu/qmp.ts';
import {commandLine, type HardwareOptions} from './command-line.ts';
import type {BootMachine} from './machine.ts';
import {freePort} from '../ports.ts';

export interface VmOptions extends HardwareOptions {
  readonly machine: BootMachine;
  /** Who `ssh` logs in as; `core` when absent. */
  readonly user?: string;
  /** Seconds after which the emulator is ended, whatever it does; 1800 when absent. */
  readonly limitSeconds?: number;
}

export interface Reading {
  readonly match: RegExpExecArray;
  /** Since the start of the emulator. */
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

export interface SshOptions {
  /** 60 when absent. */
  readonly seconds?: number;
  readonly input?: string;
  /** Exit codes that count as success; only 0 when absent. */
  readonly okCodes?: readonly number[];
}

export interface Vm {
  readonly pid: number;
  /** Port of loopback that leads to the guest's 22. */
  readonly sshPort: number;
  /** Everything on the serial console so far, without escape sequences. */
  console(): string;
  /**
   * Waits until `pattern` appears on the console behind the last match. Throws, with the end of the console,
   * after `seconds`, when the emulator ends, or when `unless` appears first.
   */
  waitFor(pattern: RegExp, seconds: number, unless?: RegExp): Promise<Reading>;
  /** Waits until sshd lets us in. */
  waitForSsh(seconds: number): Promise<void>;
  /** Runs one shell command line in the guest. */
  ssh(command: string, options?: SshOptions): Promise<ExecResult>;
  /** User and system time of the emulator. */
  cpuSeconds(): number;
  wallSeconds(): number;
  qmp(command: string): Promise<unknown>;
  /** Waits until the emulator has ended (`noReboot`, power-off). */
  waitForEnd(seconds: number): Promise<void>;
  /** ACPI power button, then waits for the end. */
  powerOff(seconds: number): Promise<void>;
  /** Ends the emulator at once, as a power cut does. May be called again. */
  stop(): Promise<void>;
}

let boots = 0;
const live = new Set<number>();
process.on('exit', () => {
  for (const pid of live) kill(pid);
});

const POLL_MS = 200;
const clockTicks = 100;

/** Starts the emulator and returns when it runs. Each has a console file of its own in the machine's folder. */
export async function startVm(options: VmOptions): Promise<Vm> {
  const {machine} = options;
  const files = {
    console: join(machine.folder, `console-${++boots}.log`),
    monitor: join(machine.folder, 'qmp'),
    pidFile: join(machine.folder, 'pid'),
    sshPort: await freePort(),
  };
  await Promise.all([files.console, files.monitor, files.pidFile].map(path => rm(path, {force: true})));
  const abort = new AbortController();
  const state: {ended: boolean; failure: ExecError | undefined; cpu: number} = {
    ended: false,
    failure: undefined,
    cpu: 0,
  };
  const started = performance.now();
  const running = exec(commandLine(machine, options, files), {
    timeoutMs: (options.limitSeconds ?? 1800) * 1000,
    signal: abort.signal,
  })
    .then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof ExecError)) throw error;
        state.failure = error;
      },
    )
    .finally(() => {
      state.ended = true;
    });
  const pid = await readPid(files.pidFile, state);
  live.add(pid);
  void running.finally(() => live.delete(pid));

  let cursor = 0;
  const consoleText = () => clean(readText(files.console));
  const wallSeconds = () => (performance.now() - started) / 1000;
  const cpuSeconds = () => {
    state.cpu = cpuOf(pid) ?? state.cpu;
    return state.cpu;
  };
  const failure = (what: string) =>
    new Error(
      `${what} (${wallSeconds().toFixed(0)} s, ${cpuSeconds().toFixed(0)} CPU s); end of the console:\n${consoleText().slice(-3000)}`,
      {cause: state.failure},
    );

  const vm: Vm = {
    pid,
    sshPort: files.sshPort,
    console: consoleText,
    cpuSeconds,
    wallSeconds,
    async waitFor(pattern, seconds, unless) {
      const deadline = performance.now() + seconds * 1000;
      for (;;) {
        const {ended} = state;
        const cpu = cpuSeconds();
        const fresh = consoleText().slice(cursor);
        const match = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(fresh);
        const bad = unless?.exec(fresh) ?? undefined;
        if (match !== null && (bad === undefined || bad.index > match.index)) {
          cursor += match.index + match[0].length;
          return {match, wallSeconds: wallSeconds(), cpuSeconds: cpu};
        }
        if (bad !== undefined) throw failure(`"${bad[0]}" came instead of ${pattern}`);
        if (ended) throw failure(`the emulator ended before ${pattern}`);
        if (performance.now() > deadline) throw failure(`no ${pattern} within ${seconds} s`);
        await sleep(POLL_MS);
      }
    },
    async waitForSsh(seconds) {
      const deadline = performance.now() + seconds * 1000;
      for (;;) {
        const result = await vm.ssh('true', {seconds: 30, okCodes: [0, 255]}).catch(() => undefined);
        if (result?.code === 0) return;
        if (state.ended) throw failure('the emulator ended before SSH answered');
        if (performance.now() > deadline)
          throw failure(`no SSH within ${seconds} s (${result?.stderr.trim() ?? 'timeout'})`);
        await sleep(1000);
      }
    },
    ssh(command, options_ = {}) {
      return exec(sshCommand(machine, files.sshPort, options.user ?? 'core', command), {
        timeoutMs: (options_.seconds ?? 60) * 1000,
        ...(options_.input === undefined ? {} : {input: options_.input}),
        ...(options_.okCodes === undefined ? {} : {okCodes: options_.okCodes}),
      });
    },
    qmp: command => qmp(files.monitor, command, 10_000),
    async waitForEnd(seconds) {
      const deadline = performance.now() + seconds * 1000;
      while (!state.ended) {
        cpuSeconds();
        if (performance.now() > deadline) throw failure(`the emulator still runs after ${seconds} s`);
        await sleep(POLL_MS);
      }
    },
    async powerOff(seconds) {
      await vm.qmp('system_powerdown');
      await vm.waitForEnd(seconds);
    },
    async stop() {
      cpuSeconds();
      if (!state.ended) kill(pid);
      abort.abort();
      await running;
    },
  };
  return vm;
}

function sshCommand(machine: BootMachine, port: number, user: string, command: string): string[] {
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    'BatchMode=yes',
    'ConnectTimeout=20',
    'IdentitiesOnly=yes',
  ];
  return [
    'ssh',
    '-F',
    '/dev/null',
    '-i',
    machine.sshKey,
    '-p',
    String(port),
    ...options.flatMap(value => ['-o', value]),
    `${user}@127.0.0.1`,
    command,
  ];
}

async function readPid(
  path: string,
  state: {ended: boolean; failure: ExecError | undefined},
): Promise<number> {
  for (let round = 0; round < 150 && !state.ended; round++) {
    const pid = Number(await readFile(path, 'utf8').catch(() => ''));
    if (Number.isInteger(pid) && pid > 1) return pid;
    await sleep(100);
  }
  throw new Error(`the emulator did not start: ${state.failure?.message ?? 'no process number'}`, {
    cause: state.failure,
  });
}

/** Fields 14 and 15 of /proc/PID/stat, counted behind the program's name, which may hold spaces. */
function cpuOf(pid: number): number | undefined {
  const text = readText(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) && text !== '' ? ticks / clockTicks : undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function clean(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001B(?:\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c78])/g, '').replace(/\r+\n/g, '\n');
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended
  }
}
