/** The rack: what machines report and ask, what operators decide, over one store. */
import type {Clock} from '../../common/clock.ts';
import type {
  BeginRequest,
  BootDecision,
  BootQuery,
  FailedRequest,
  InstalledRequest,
  ProgressAnswer,
  ProgressRequest,
  RackAnswer,
  RackReport,
} from '../../common/contracts/rack.ts';
import {fingerprintOf} from '../../common/rack-crypto.ts';
import {approval, groupOf, subjectOf} from './approval.ts';
import {decideBoot} from './boot.ts';
import {chooseDisk, type DiskChoice} from './disks.ts';
import {RackError} from './errors.ts';
import {explainGroups, nameFor, type Explanation, type RackGroup} from './groups.ts';
import {identityOfQuery, identityOfReport, isSameMachine, machineIdOf, type Identity} from './identity.ts';
import type {RackStore, RackSupplies, Stored} from './ports.ts';
import type {RackMachine} from './record.ts';
import {mixedUp, taskFor} from './tasks.ts';
import {firstSeen, happen, type Happening} from './transitions.ts';

/** How often a lost race for a record is run again; every loss means that somebody else has won. */
const MAX_ATTEMPTS = 50;
/** An unchanged report is written down again after this long, so that others see that the machine is there. */
const SEEN_MS = 30_000;

export interface RackParts {
  readonly store: RackStore;
  readonly supplies: RackSupplies;
  readonly clock: Clock;
  readonly groups: readonly RackGroup[];
  /** Of this HTTPS server, as machines reach it. */
  readonly url: string;
}

/** Where an installation is; in memory, since it is asked for while it happens. */
export interface InstallProgress extends Omit<ProgressRequest, 'lines'> {
  readonly at: number;
}

export interface MachineExplanation {
  readonly machine: RackMachine;
  readonly fingerprint: string;
  readonly groups: Explanation;
  readonly disk: DiskChoice | undefined;
  readonly boot: BootDecision;
}

export interface Rack {
  list(): Promise<readonly RackMachine[]>;
  report(report: RackReport): Promise<RackAnswer>;
  decideBoot(query: BootQuery): Promise<BootDecision>;
  /** The machine whose permit this is. Throws `permit-void`. */
  holder(permit: string): Promise<RackMachine>;
  begin(permit: string, request: BeginRequest): Promise<void>;
  progress(permit: string, request: ProgressRequest): Promise<ProgressAnswer>;
  installed(permit: string, request: InstalledRequest): Promise<void>;
  failed(permit: string, request: FailedRequest): Promise<void>;
  /** By its token. Throws `not-authentic` and `token-burned`. `signed`: the machine's own agent asks. */
  config(token: string, signed: (machine: RackMachine) => boolean): Promise<string>;
  progressOf(machine: string): InstallProgress | undefined;
  /** The one machine with this MAC, UUID, serial, name or id. Throws `no-such-machine` or `ambiguous`. */
  find(word: string): Promise<RackMachine>;
  explain(word: string): Promise<MachineExplanation>;
  /** Throws `no-group`, `ambiguous`, `no-disk`, `wrong-fingerprint`, `wrong-state` or `not-ready`. */
  approve(word: string, by: string, fingerprint: string): Promise<RackMachine>;
  /** Any of the operator's other decisions. */
  decide(word: string, what: Happening): Promise<RackMachine>;
  /** Looks which installed machines have enrolled since. */
  noticeJoined(): Promise<void>;
}

export function openRack(parts: RackParts): Rack {
  const {store, supplies, clock, groups} = parts;
  const now = () => clock.now().getTime();
  const progresses = new Map<string, InstallProgress>();

  /** Runs `change` on the record until it is written; what it throws is thrown. */
  const change = async (
    select: (all: readonly Stored[]) => Stored | undefined,
    to: (before: RackMachine | undefined) => RackMachine,
  ): Promise<RackMachine> => {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const all = await store.list();
      const stored = select(all);
      const next = to(stored?.machine);
      if (next === stored?.machine || (await store.write(next, stored?.version ?? 0))) return next;
    }
    throw new RackError('busy', 'the record of this machine is being changed by others', {
      remedy: 'try again',
    });
  };
  const changeFound = (
    is: (machine: RackMachine) => boolean,
    missing: () => RackError,
    to: (before: RackMachine) => RackMachine,
  ) =>
    change(
      all => all.find(({machine}) => is(machine)),
      before => {
        if (before === undefined) throw missing();
        return to(before);
      },
    );
  const changeMachine = (id: string, to: (before: RackMachine) => RackMachine) =>
    changeFound(
      ({machine}) => machine === id,
      () => new RackError('no-such-machine', `there is no machine ${id}`),
      to,
    );
  /** The machine's name in its group, claimed: of machines that are approved at once no two get the same. */
  const nameIn = async (
    group: RackGroup,
    {machine: id, name: held, group: of}: RackMachine,
  ): Promise<string> => {
    if (held !== undefined && of === group.name) return held;
    const taken = (await list()).flatMap(({machine, name}) => (machine === id ? [] : (name ?? [])));
    for (;;) {
      const name = nameFor(group, taken);
      if (name === undefined)
        throw new RackError('ambiguous', `another machine is "${group.machineName}" already`, {
          remedy: 'take that one out of the rack, or narrow the selector',
        });
      if (await store.claimName(name, id)) return name;
      taken.push(name);
    }
  };
  const list = async () => (await store.list()).map(({machine}) => machine);
  const permitVoid = () => new RackError('permit-void', 'this permit is not valid any more');
  const holder = async (permit: string): Promise<RackMachine> => {
    const found = (await list()).find(machine => machine.permit?.id === permit);
    if (found === undefined) throw permitVoid();
    return found;
  };
  const byPermit = (id: string, what: Happening) =>
    changeFound(
      ({permit}) => permit?.id === id,
      permitVoid,
      before => happen(before, what, now()),
    );
  const log = (machine: string, lines: readonly string[]) => store.log(machine, lines);

  const find = async (word: string): Promise<RackMachine> => {
    const found = (await list()).filter(machine => answersTo(machine, word));
    const [machine, second] = found;
    if (machine === undefined)
      throw new RackError('no-such-machine', `no machine here is "${word}"`, {remedy: 'see hawser rack ls'});
    if (second !== undefined)
      throw new RackError('ambiguous', `${found.length} machines are "${word}"`, {
        remedy: 'name it by a MAC',
      });
    return machine;
  };

  const taskOf = (machine: RackMachine) => taskFor(machine, {supplies, groups, url: parts.url, now: now()});

  return {
    list,
    holder,
    find,
    progressOf: machine => progresses.get(machine),
    report: async report => {
      const identity = identityOfReport(report);
      const answer = {fingerprint: fingerprintOf(report.keys), clock: now()};
      const fitting = (await store.list()).filter(({machine}) => isSame(machine, identity));
      if (fitting.length > 1)
        return {
          ...answer,
          machine: machineIdOf(identity),
          state: 'quarantined',
          task: mixedUp(fitting.map(({machine}) => machine)),
        };
      const machine = await change(
        all => all.find(stored => isSame(stored.machine, identity)),
        before => {
          if (before === undefined) return firstSeen(machineIdOf(identity), report, now());
          const next = happen(before, {kind: 'reported', report}, now());
          return isNews(before, report) || now() - before.reportedAt >= SEEN_MS ? next : before;
        },
      );
      return {
        ...answer,
        machine: machine.machine,
        ...(machine.name === undefined ? {} : {name: machine.name}),
        state: machine.state,
        task: await taskOf(machine),
      };
    },
    decideBoot: async query => {
      const asking = identityOfQuery(query);
      return decideBoot(
        query,
        (await list()).filter(machine => isSame(machine, asking)),
      );
    },
    begin: async (permit, request) => {
      await byPermit(permit, {kind: 'begun', permit, request});
    },
    progress: async (permit, {lines, ...where}) => {
      const {machine, state} = await holder(permit);
      await log(machine, lines);
      if (state !== 'installing' && state !== 'approved')
        return {go: 'stop', reason: `the machine is ${state}`};
      progresses.set(machine, {...where, at: now()});
      return {go: 'on'};
    },
    installed: async (permit, {lines, version, seconds, fetched, written, encrypted}) => {
      const all = Object.values(seconds).reduce((sum, each) => sum + each, 0);
      const detail = `${version} in ${all.toFixed(0)} s, ${fetched} bytes fetched, ${written} written${encrypted ? ', encrypted' : ''}`;
      const {machine} = await byPermit(permit, {kind: 'installed', permit, detail});
      progresses.delete(machine);
      await log(machine, [...lines, `installed: ${detail}`]);
    },
    failed: async (permit, {lines, code, message, wrote}) => {
      const {machine} = await byPermit(permit, {kind: 'failed', permit, code, message, wrote});
      progresses.delete(machine);
      await log(machine, [...lines, `failed: ${message}`]);
    },
    config: async (token, signed) => {
      const machine = (await list()).find(
        ({permit}) => permit !== undefined && supplies.tokenOf(permit.id) === token,
      );
      if (machine?.permit === undefined)
        throw new RackError('token-burned', 'this token is not valid any more');
      const {id, expires, begun} = machine.permit;
      const agent = signed(machine);
      // A plain Ignition may still fetch on the first boot of what was installed; the agent is done by then.
      if (agent ? machine.state === 'installed' : machine.state === 'joined')
        throw new RackError('token-burned', 'this token is not valid any more');
      if (begun === undefined && now() >= expires)
        throw new RackError('token-burned', 'this token has expired');
      const config = await supplies.config(machine);
      // Burned before the first byte leaves.
      if (!agent) await byPermit(id, {kind: 'config-taken', permit: id});
      return config;
    },
    explain: async word => {
      const machine = await find(word);
      const explanation = explainGroups(groups, subjectOf(machine));
      const {membership} = explanation;
      const identity = identityOfReport(machine.report);
      return {
        machine,
        fingerprint: fingerprintOf(machine.report.keys),
        groups: explanation,
        disk:
          membership.kind === 'one'
            ? chooseDisk(machine.report.disks, membership.group.disk, machine.keepData)
            : undefined,
        boot: decideBoot(
          {},
          (await list()).filter(each => isSame(each, identity)),
        ),
      };
    },
    approve: async (word, by, fingerprint) => {
      const machine = await find(word);
      const release = await supplies.release();
      if (release === undefined)
        throw new RackError('not-ready', 'there is no image to install', {remedy: 'run hawser image build'});
      const group = groupOf(machine, groups);
      const name = await nameIn(group, machine);
      const permit = supplies.newPermitId();
      return changeMachine(machine.machine, before =>
        happen(
          before,
          approval(before, {groups, group, name, release, permit, by, fingerprint, at: now()}),
          now(),
        ),
      );
    },
    decide: async (word, what) => {
      const {machine} = await find(word);
      return changeMachine(machine, before => happen(before, what, now()));
    },
    noticeJoined: async () => {
      for (const {machine, state, generation} of await list()) {
        if (state !== 'installed' || !(await supplies.hasEnrolled(machine, generation))) continue;
        await changeMachine(machine, before =>
          before.state === 'installed' ? happen(before, {kind: 'joined'}, now()) : before,
        );
      }
    },
  };
}

function isSame(machine: RackMachine, identity: Identity): boolean {
  return isSameMachine(identityOfReport(machine.report), identity);
}

/** Whether anything but the clock has changed. */
function isNews({report: before}: RackMachine, report: RackReport): boolean {
  return JSON.stringify({...before, clock: 0}) !== JSON.stringify({...report, clock: 0});
}

function answersTo(machine: RackMachine, word: string): boolean {
  if (word === machine.name || word === machine.machine) return true;
  const asked = identityOfQuery({uuid: word, serial: word, mac: word});
  const {uuid, serial, macs} = identityOfReport(machine.report);
  if (asked.macs.some(mac => macs.includes(mac))) return true;
  if (asked.uuid !== undefined && asked.uuid === uuid) return true;
  return serial !== undefined && asked.serial?.toLowerCase() === serial.toLowerCase();
}
