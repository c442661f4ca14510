/** What every test of the machine layer stands on: a throw-away home, real clock, stand-ins for the CA. */
import {randomUUID} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {CommandContext} from '../../../services/common/command.ts';
import {systemClock} from '../../../services/common/clock.ts';
import {silentProgress} from '../../../services/common/progress.ts';
import type {AccessSteps, MachineDeps} from '../../../machine-drivers/machine.ts';
import type {Enrolment, MachineRuntime} from '../../../machine-drivers/ports.ts';
import type {Registry} from '../../../machine-drivers/registry.ts';
import {openJournal} from '../../../machine-drivers/store/journal.ts';
import {openStore} from '../../../machine-drivers/store/store.ts';

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hm-'));
  t.teardown(() => rm(folder, {recursive: true, force: true, maxRetries: 5}));
  return folder;
}

export interface RuntimeLog {
  issued: string[];
  forgotten: string[];
}

/** Issues tokens that cannot enrol: for tests that end before enrolment. */
export function stubRuntime(home: string, log: RuntimeLog = {issued: [], forgotten: []}): MachineRuntime {
  const enrolment: Enrolment = {
    issue: subject => {
      log.issued.push(subject.machine);
      const {machine, name, generation} = subject;
      return Promise.resolve({machine, name, generation, token: 'A'.repeat(43), expires: 4_000_000_000});
    },
    accept: () => Promise.reject(new Error('no machine enrols in this test')),
    forget: machine => {
      log.forgotten.push(machine);
      return Promise.resolve();
    },
    clientCertificate: () => Promise.reject(new Error('no certificate is made in this test')),
  };
  return {
    paths: {home, cache: join(home, 'cache')},
    clock: systemClock,
    env: {},
    operator: 'tester',
    newUuid: () => randomUUID(),
    enrolment: () => Promise.resolve(enrolment),
    firstBoot: () =>
      Promise.resolve({
        check: () => Promise.resolve(),
        render: wish => Promise.resolve(JSON.stringify(wish)),
      }),
    updateFiles: wish =>
      Promise.resolve([{path: '/etc/hawser/update.json', mode: 0o644, contents: JSON.stringify(wish)}]),
  };
}

/** Every machine is reachable at once. */
export const instantAccess: AccessSteps = {
  ssh: () => Promise.resolve(),
  enrol: () => Promise.resolve(),
  docker: () => Promise.resolve(),
};

export async function stubDeps(
  home: string,
  registry: Registry,
  over: Partial<MachineDeps> & {log?: RuntimeLog} = {},
): Promise<MachineDeps> {
  const {log, ...rest} = over;
  const runtime = stubRuntime(home, log);
  const store = await openStore(home, runtime.clock);
  const signal = new AbortController().signal;
  return {runtime, store, registry, signal, openJournal, access: instantAccess, ...rest};
}

export interface Captured {
  readonly context: CommandContext;
  readonly printed: string[];
  readonly warned: string[];
}

/** A terminal that nobody sits at. */
export function captureContext(env: Record<string, string> = {}): Captured {
  const printed: string[] = [];
  const warned: string[] = [];
  const context: CommandContext = {
    progress: silentProgress,
    print: line => void printed.push(line),
    warn: line => void warned.push(line),
    env,
    cwd: '/',
    signal: new AbortController().signal,
    interactive: false,
  };
  return {context, printed, warned};
}
