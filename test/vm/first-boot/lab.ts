/** What a case of the first-boot campaign gets, and how it is run: bounded in time, always cleaned up. */
import {rmSync} from 'node:fs';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describeError} from '../../../services/common/errors.ts';
import {
  createMachine,
  type BootMachine,
  type Machine,
  type MachineOptions,
} from '../../support/vm/machine.ts';
import {startVm, type Vm, type VmOptions} from '../../support/vm/vm.ts';

export const firstBootDone = /hawser: first boot: done/;
export const healthy = /HAWSER-HEALTHY/;
export const initrdFailed = /HAWSER-INITRD-FAILED|Kernel panic/;

export interface Lab {
  /** Folder of the image under test. */
  readonly image: string;
  /** Temporary folder of the case. */
  readonly folder: string;
  /** A line for the reader: a finding or a figure. */
  note(text: string): void;
  machine(options?: Partial<MachineOptions>): Promise<Machine>;
  /** Starts a VM that is stopped at the end of the case at the latest. */
  boot(machine: BootMachine, options?: Partial<VmOptions>): Promise<Vm>;
  /** Writes an Ignition config; returns its path. */
  config(name: string, config: unknown): Promise<string>;
  /** Registers what is to be undone at the end. */
  teardown(work: () => Promise<unknown>): void;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly limitSeconds: number;
  run(lab: Lab): Promise<void>;
}

export interface CaseResult {
  readonly name: string;
  readonly passed: boolean;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly notes: readonly string[];
  readonly failure: string | undefined;
}

export interface Run {
  readonly image: string;
  /** Where the consoles of all boots are kept, if anywhere. */
  readonly logs: string | undefined;
  readonly print: (line: string) => void;
}

const folders = new Set<string>();
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, {recursive: true, force: true});
});

/** Runs one case to its end or its limit; leaves no process and no file behind. */
export async function runCase(test: Case, {image, logs, print}: Run): Promise<CaseResult> {
  const folder = await mkdtemp(join(tmpdir(), 'hfb-'));
  folders.add(folder);
  const started = performance.now();
  const vms: Vm[] = [];
  const undo: (() => Promise<unknown>)[] = [];
  const notes: string[] = [];
  let failure: string | undefined;
  let machines = 0;
  const lab: Lab = {
    image,
    folder,
    note: text => {
      notes.push(text);
      print(`    ${text}`);
    },
    machine: options => {
      machines += 1;
      return createMachine({image, folder: join(folder, `m${machines}`), ...options});
    },
    boot: async (machine, options) => {
      const vm = await startVm({machine, limitSeconds: test.limitSeconds, ...options});
      vms.push(vm);
      return vm;
    },
    config: async (name, config) => {
      const path = join(folder, `${name}.ign`);
      await writeFile(path, typeof config === 'string' ? config : JSON.stringify(config));
      return path;
    },
    teardown: work => void undo.push(work),
  };
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => limit.reject(new Error(`not ended within ${test.limitSeconds} s`)),
    test.limitSeconds * 1000,
  );
  try {
    await Promise.race([test.run(lab), limit.promise]);
  } catch (error) {
    failure = describeError(error);
  } finally {
    clearTimeout(timer);
    for (const vm of vms) await vm.stop();
    if (logs !== undefined) {
      await mkdir(logs, {recursive: true});
      for (const [index, vm] of vms.entries())
        await writeFile(join(logs, `${test.name}-${index + 1}.log`), vm.console());
    }
    for (const work of undo.toReversed()) await work().catch(() => undefined);
    await rm(folder, {recursive: true, force: true});
    folders.delete(folder);
  }
  return {
    name: test.name,
    passed: failure === undefined,
    wallSeconds: (performance.now() - started) / 1000,
    cpuSeconds: vms.reduce((sum, vm) => sum + vm.cpuSeconds(), 0),
    notes,
    failure,
  };
}

/** fw_cfg of a config file, as `-fw_cfg` wants it. */
export function fwCfg(path: string): {readonly fwCfg: Readonly<Record<string, string>>} {
  return {fwCfg: {'opt/com.coreos/config': path}};
}

/** The smallest config that lets `ssh` in; `more` is laid over its top level. */
export function configFor(
  machine: Machine,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    ignition: {version: '3.3.0'},
    passwd: {users: [{name: 'core', groups: ['sudo', 'docker'], sshAuthorizedKeys: [machine.sshPublicKey]}]},
    ...more,
  };
}

/** A file entry with plain text. */
export function file(
  path: string,
  text: string,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {path, mode: 0o644, contents: {source: `data:,${encodeURIComponent(text)}`}, ...more};
}
