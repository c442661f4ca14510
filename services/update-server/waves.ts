/**
 * Waves: which machines a rollout may reach. A wave by number or share takes machines in the rollout's own order
 * (rank.ts) up to a rank that is fixed, in etcd, when the wave opens; so a machine never leaves a wave, machines that
 * join later are in no earlier wave than the next, and no wave ever holds more than it may. Pure.
 */
import type {GroupConfig, Rollout, RolloutWave, WaveConfig} from '../common/contracts/policy.ts';
import {ServerError} from './errors.ts';
import {selects, settingsOf} from './groups.ts';

/** What waves need to know of a machine. */
export interface Candidate {
  readonly rank: string;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339, as the server wrote it. */
  readonly firstSeen: string;
}

/** Throws `malformed` for waves that say nothing, say two things, or do not grow. */
export function checkWaves(waves: readonly WaveConfig[]): void {
  let reached = 0;
  for (const [index, wave] of waves.entries()) {
    const said = [wave.labels, wave.machines, wave.share, wave.domain].filter(each => each !== undefined);
    if (said.length !== 1) {
      throw malformed(
        index,
        `it has ${said.length} of labels, machines, share and domain`,
        'give one of them',
      );
    }
    if (wave.labels !== undefined && Object.keys(wave.labels).length === 0)
      throw malformed(index, 'its labels are empty', 'name at least one label, or use share: 100');
    if (reached === 100) throw malformed(index, 'an earlier wave takes 100% already', 'leave it out');
    if (wave.share === undefined) continue;
    if (wave.share <= reached)
      throw malformed(
        index,
        `its share ${wave.share} is not above ${reached}`,
        'shares count from the start',
      );
    reached = wave.share;
  }
}

function malformed(index: number, why: string, remedy: string): ServerError {
  return new ServerError('malformed', `wave ${index + 1} cannot be used: ${why}`, {remedy});
}

/** The operator's waves made concrete for the machines there are: a wave a domain, and a last one with the rest. */
export function planWaves(
  config: GroupConfig,
  members: readonly Pick<Candidate, 'labels'>[],
): readonly RolloutWave[] {
  const settings = settingsOf(config);
  const waves = (config.waves ?? []).flatMap(wave => {
    const common = {
      minShare: wave.minShare ?? settings.minShare,
      soakSeconds: wave.soakSeconds ?? settings.soakSeconds,
      ...(wave.windows === undefined ? {} : {windows: wave.windows}),
    };
    return concrete(wave, members).map(({name, take}) => ({name, take, ...common}));
  });
  const last = waves.at(-1)?.take;
  if (last?.kind === 'share' && last.share === 100) return waves;
  const {minShare, soakSeconds} = settings;
  const name = waves.length === 0 ? 'all' : 'the rest';
  return [...waves, {name, take: {kind: 'share', share: 100}, minShare, soakSeconds}];
}

function concrete(
  wave: WaveConfig,
  members: readonly Pick<Candidate, 'labels'>[],
): readonly Pick<RolloutWave, 'name' | 'take'>[] {
  const {labels, machines, share, domain} = wave;
  if (labels !== undefined) {
    const text = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    return [{name: wave.name ?? text.join(','), take: {kind: 'labels', labels}}];
  }
  if (machines !== undefined) {
    const name = wave.name ?? (machines === 1 ? '1 machine' : `${machines} machines`);
    return [{name, take: {kind: 'machines', machines}}];
  }
  if (domain !== undefined) {
    const values = new Set(members.map(({labels}) => labels[domain]).filter(value => value !== undefined));
    return [...values].sort().map(value => ({
      name: `${domain}=${value}`,
      take: {kind: 'labels', labels: {[domain]: value}},
    }));
  }
  return [{name: wave.name ?? `${share ?? 100}%`, take: {kind: 'share', share: share ?? 100}}];
}

/** Index of the first open wave that takes the machine; undefined while it has to wait. */
export function waveOf(machine: Candidate, waves: readonly RolloutWave[]): number | undefined {
  for (const [index, wave] of waves.entries()) {
    if (wave.openedAt === undefined) return undefined;
    if (takes(wave, machine, wave.openedAt)) return index;
  }
  return undefined;
}

function takes(wave: RolloutWave, machine: Candidate, openedAt: string): boolean {
  if (wave.take.kind === 'labels') return selects(wave.take.labels, machine.labels);
  if (wave.upTo === undefined) return true;
  return machine.rank <= wave.upTo && machine.firstSeen <= openedAt;
}

/** How many waves are open: they open in order, so this is also the index of the next. */
export function openCount(waves: readonly RolloutWave[]): number {
  const closed = waves.findIndex(wave => wave.openedAt === undefined);
  return closed === -1 ? waves.length : closed;
}

/** The waves with the next one opened at `at`; `members` are all that take part in the rollout. */
export function openNext(
  waves: readonly RolloutWave[],
  members: readonly Candidate[],
  at: string,
): readonly RolloutWave[] {
  const next = openCount(waves);
  const wave = waves[next];
  if (wave === undefined) return waves;
  const {take} = wave;
  const everybody = take.kind === 'share' && take.share === 100;
  if (take.kind === 'labels' || everybody) return waves.with(next, {...wave, openedAt: at});
  const waiting = members.filter(member => waveOf(member, waves) === undefined);
  const reached = members.length - waiting.length;
  // Rounded down, at least one machine: a share is never exceeded but by the one without which nothing would begin.
  const allowed =
    take.kind === 'machines'
      ? take.machines
      : Math.max(Math.floor((members.length * take.share) / 100), 1) - reached;
  const ranks = waiting.map(({rank}) => rank).sort();
  const upTo = allowed <= 0 ? '' : (ranks[Math.min(allowed, ranks.length) - 1] ?? '');
  return waves.with(next, {...wave, openedAt: at, upTo});
}

/** The wave that each machine will be in if nothing changes: what `fleet status` shows for those that wait. */
export function expectedWaves(
  rollout: Pick<Rollout, 'waves'>,
  members: readonly Candidate[],
  at: string,
): ReadonlyMap<string, number> {
  let waves: readonly RolloutWave[] = rollout.waves;
  while (openCount(waves) < waves.length) waves = openNext(waves, members, at);
  return new Map(members.map(member => [member.rank, waveOf(member, waves) ?? waves.length - 1]));
}
