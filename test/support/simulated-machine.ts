/**
 * A machine in memory that runs the real update agent: its state machine, record and recovery, with a disk, an ESP and a
 * boot loader of a few lines. What talks to the server is the caller's, so a campaign can use a real one.
 */
import type {Clock} from '../../services/common/clock.ts';
import type {ReleaseManifest} from '../../services/common/contracts/release.ts';
import type {
  AgentPorts,
  AgentSettings,
  MachineFacts,
  ReleasePort,
  ServerPort,
} from '../../services/update-agent/ports.ts';
import {emptyRecord, type AgentRecord} from '../../services/update-agent/record.ts';
import type {TrialEntry} from '../../services/update-agent/recover.ts';
import {runAgent, type RunOptions, type RunResult} from '../../services/update-agent/runner.ts';
import {unarmedName as unarmed} from '../../services/update-agent/slots.ts';
import {parseUkiName, stagedUkiName} from '../../services/update-agent/uki-names.ts';

/** How a release behaves once it boots. `dead`: no boot of it ever reaches its health checks. */
export type Behaviour = 'good' | 'unhealthy' | 'dead';

export interface SimulatedRelease {
  readonly manifest: ReleaseManifest;
  readonly behaviour: Behaviour;
}

export interface SimulatedOptions {
  readonly name: string;
  readonly first: SimulatedRelease;
  readonly server: ServerPort;
  readonly releases: ReleasePort;
  readonly clock: Clock;
  /** Every release that the machine may meet, by root hash. */
  readonly behaviours: ReadonlyMap<string, Behaviour>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly settings?: Partial<AgentSettings>;
  /** Replaces parts of the simulated machine: faults, delays, observers. */
  readonly ports?: (machine: SimulatedMachine) => Partial<AgentPorts>;
}

interface SlotContent {
  readonly version: string;
  readonly rootHash: string;
}

export class SimulatedMachine {
  readonly options: SimulatedOptions;
  readonly slots: [SlotContent | undefined, SlotContent | undefined];
  running: 0 | 1 = 0;
  /** File names in EFI/Linux. */
  esp: Set<string>;
  record: AgentRecord = emptyRecord();
  boots = 1;
  drained = false;
  /** Told to reboot; `boot` does it. */
  rebooting = false;
  /** What happened, in order: for the assertions of a test. */
  readonly log: string[] = [];
  oneShot: string | undefined;

  constructor(options: SimulatedOptions) {
    this.options = options;
    const {version, rootHash} = options.first.manifest;
    this.slots = [{version, rootHash}, undefined];
    this.esp = new Set([`hawser_${version}.efi`]);
  }

  get own(): SlotContent {
    const own = this.slots[this.running];
    if (own === undefined) throw new Error('the running slot is empty');
    return own;
  }

  get idle(): 0 | 1 {
    return this.running === 0 ? 1 : 0;
  }

  /** One run of the agent. A machine that was told to reboot does not run it. */
  async run(more: Partial<RunOptions> = {}): Promise<RunResult> {
    const settings: AgentSettings = {
      name: this.options.name,
      labels: this.options.labels ?? {},
      repositories: [],
      pollSeconds: 300,
      onDrainTimeout: 'wait',
      expectedSeconds: 600,
      ...this.options.settings,
    };
    return runAgent(this.ports(), this.options.clock, {settings, ...more});
  }

  /** What the loader and systemd do: count down, boot, let the gate judge, bless. Repeats until something stays up. */
  async boot(): Promise<void> {
    this.rebooting = false;
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const chosen = this.#choose();
      const slot = this.slots.findIndex(content => content?.version === chosen.version);
      this.boots += 1;
      this.log.push(`boot ${chosen.name}`);
      if (slot !== 0 && slot !== 1) continue;
      const behaviour = this.options.behaviours.get(this.slots[slot]?.rootHash ?? '') ?? 'good';
      if (behaviour === 'dead') continue;
      this.running = slot;
      const counted = chosen.tries !== undefined;
      if (!counted) return;
      if (this.record.trial !== undefined) {
        const {state} = await this.run({gate: true});
        if (this.rebooting) {
          this.rebooting = false;
          continue;
        }
        if (state.phase === 'proving' && state.verdict !== 'healthy') return;
      }
      this.#bless(chosen.version);
      return;
    }
    throw new Error(`${this.options.name} boots for ever: ${this.log.slice(-10).join(', ')}`);
  }

  ports(): AgentPorts {
    return {...this.basePorts(), ...this.options.ports?.(this)};
  }

  /** Without the caller's replacements, which may wrap these. */
  basePorts(): AgentPorts {
    const {own} = this;
    return {
      facts: async () => this.#facts(),
      record: {
        load: async () => this.record,
        save: async record => {
          this.record = record;
        },
      },
      server: this.options.server,
      releases: this.options.releases,
      slots: {
        stage: async ({version, rootHash}) => {
          for (const name of this.esp) if (parseUkiName(name)?.version !== own.version) this.esp.delete(name);
          this.log.push(`stage ${version}`);
          this.slots[this.idle] = {version, rootHash};
          return {kind: 'slot-written'};
        },
        placeUki: async ({version}) => {
          this.esp.add(stagedUkiName(version));
          return {kind: 'uki-placed'};
        },
        arm: async ({version, downgrade, source}) => {
          this.esp.delete(unarmed(version, source));
          this.esp.add(`hawser_${version}+3.efi`);
          if (downgrade) this.oneShot = version;
          return {kind: 'armed'};
        },
        disarm: async ({version, source}) => {
          if (this.esp.delete(`hawser_${version}+3.efi`)) this.esp.add(unarmed(version, source));
        },
        drop: async version => {
          this.log.push(`drop ${version}`);
          for (const name of this.esp) {
            const parsed = parseUkiName(name);
            if (parsed?.version === version && version !== own.version) this.esp.delete(name);
          }
          this.slots[this.idle] = undefined;
          return {kind: 'dropped'};
        },
        tidy: async () => undefined,
      },
      boot: {
        bless: async () => {
          this.#bless(own.version);
          return {kind: 'blessed'};
        },
        markBad: async version => {
          for (const name of this.esp) if (parseUkiName(name)?.version === version) this.esp.delete(name);
          this.esp.add(`hawser_${version}+0-1.efi`);
        },
        reboot: async () => {
          this.log.push('reboot');
          this.rebooting = true;
          return {kind: 'reboot-requested'};
        },
      },
      health: {
        limitSeconds: 300,
        takeBaseline: async () => undefined,
        prove: async () => {
          const healthy = this.options.behaviours.get(own.rootHash) !== 'unhealthy';
          return healthy ? {kind: 'healthy'} : {kind: 'unhealthy', detail: 'unit app.service failed'};
        },
      },
      drain: {
        drain: async () => {
          this.drained = true;
          this.log.push('drain');
          return {kind: 'drained'};
        },
        undo: async () => {
          this.drained = false;
          this.log.push('return');
          return {kind: 'returned'};
        },
        clusters: async () => [],
      },
      log: () => undefined,
    };
  }

  #facts(): MachineFacts {
    const other = this.slots[this.idle];
    return {
      own: this.own,
      slot: this.running === 0 ? 'a' : 'b',
      bootId: `boot-${this.boots}`,
      proven: this.esp.has(`hawser_${this.own.version}.efi`),
      trialEntry: version => this.#entry(version),
      other:
        other !== undefined && this.esp.has(`hawser_${other.version}.efi`)
          ? {...other, downgrade: true, source: 'slot'}
          : undefined,
    };
  }

  #entry(version: string): TrialEntry {
    for (const name of this.esp) {
      const parsed = parseUkiName(name);
      if (parsed?.version !== version) continue;
      if (parsed.staged) return 'unarmed';
      if (parsed.tries === undefined) return 'good';
      if (parsed.tries.left === 0) return 'exhausted';
      return parsed.tries.done === 0 ? 'untried' : 'tried';
    }
    return 'gone';
  }

  /** systemd-boot: what was asked for once, else the newest that has tries left, else the newest of all. */
  #choose() {
    const entries = [...this.esp].flatMap(name => parseUkiName(name) ?? []).filter(entry => !entry.staged);
    const able = entries.filter(entry => entry.tries?.left !== 0);
    const wanted = able.find(entry => entry.version === this.oneShot);
    this.oneShot = undefined;
    const newest = (able.length > 0 ? able : entries).sort((a, b) =>
      b.version.localeCompare(a.version, 'en', {numeric: true}),
    );
    const chosen = wanted ?? newest[0];
    if (chosen === undefined) throw new Error('nothing can be booted');
    if (chosen.tries !== undefined && chosen.tries.left > 0) {
      this.esp.delete(chosen.name);
      const {left, done} = chosen.tries;
      this.esp.add(`hawser_${chosen.version}+${left - 1}-${done + 1}.efi`);
    }
    return chosen;
  }

  #bless(version: string): void {
    for (const name of this.esp) {
      const parsed = parseUkiName(name);
      if (parsed?.version === version && !parsed.staged) this.esp.delete(name);
    }
    this.esp.add(`hawser_${version}.efi`);
  }
}
