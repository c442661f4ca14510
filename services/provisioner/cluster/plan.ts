/**
 * What is to be done next, from what is: facts in, steps out. Asked again after every round of steps, so that a run
 * which was killed anywhere goes on as if nothing had happened. Pure.
 */
import {ClusterError} from './errors.ts';
import {
  foundersCluster,
  installedToken,
  joinersCluster,
  peerUrl,
  renderControlEnvironment,
  renderEtcdConfig,
  type EtcdMember,
} from './etcd.ts';
import type {ClusterMember, ClusterRecord} from './record.ts';
import {withoutLiveRestore} from './swarm.ts';

export interface MachineFacts {
  readonly uuid: string;
  /** A certificate by this cluster's CA for this member, with time left, beside its key. */
  readonly certificate: boolean;
  readonly config: string | undefined;
  readonly hasData: boolean;
  readonly running: boolean;
  /** Its member answered a linearizable read. */
  readonly healthy: boolean;
  /** What its member lists; undefined when it did not answer. */
  readonly members: readonly EtcdMember[] | undefined;
  readonly daemonJson: string | undefined;
  readonly liveRestore: boolean;
  readonly swarm: {
    readonly state: string;
    readonly nodeId: string;
    readonly cluster: string | undefined;
    readonly manager: boolean;
    /** Managers that are reachable, by node id, as this manager sees them. */
    readonly reachable: readonly string[];
  };
}

export type Step =
  | {readonly kind: 'certificate'; readonly machine: string}
  | {readonly kind: 'docker-config'; readonly machine: string; readonly daemonJson: string}
  | {
      readonly kind: 'etcd-config';
      readonly machine: string;
      readonly config: string;
      readonly control: string;
    }
  | {readonly kind: 'etcd-start'; readonly machine: string}
  | {readonly kind: 'etcd-add'; readonly via: string; readonly machine: string; readonly peerUrl: string}
  | {readonly kind: 'etcd-promote'; readonly via: string; readonly machine: string; readonly id: string}
  | {readonly kind: 'swarm-init'; readonly machine: string}
  | {readonly kind: 'swarm-note-tokens'}
  | {readonly kind: 'swarm-join'; readonly machine: string; readonly via: readonly string[]}
  | {readonly kind: 'swarm-rotate'; readonly via: string};

export interface Plan {
  readonly steps: readonly Step[];
  /** What is not so yet although nothing is left to be done about it. Both empty: the cluster stands. */
  readonly waitsFor: readonly string[];
}

type Pair = readonly [ClusterMember, MachineFacts];

/** The next round. `facts` has every member of `record`. Throws `foreign` and `member-lost`; nothing is changed then. */
export function planCluster(record: ClusterRecord, facts: readonly MachineFacts[]): Plan {
  const pairs = record.members.map((member): Pair => {
    const found = facts.find(each => each.uuid === member.uuid);
    if (found === undefined) throw new ClusterError('unreachable', `nothing is known of "${member.name}"`);
    return [member, found];
  });
  refuseForeign(record, pairs);
  const prepared = pairs.flatMap(([member, found]) => prepare(member, found));
  if (prepared.length > 0) return {steps: prepared, waitsFor: []};
  const etcd = planEtcd(record, pairs);
  const swarm = planSwarm(record, pairs);
  return {
    steps: [...etcd.steps, ...swarm.steps],
    waitsFor: [...etcd.waitsFor, ...swarm.waitsFor],
  };
}

function refuseForeign(record: ClusterRecord, pairs: readonly Pair[]): void {
  for (const [member, {config}] of pairs) {
    if (config === undefined || installedToken(config) === record.token) continue;
    throw new ClusterError('foreign', `"${member.name}" is a member of another etcd`, {
      remedy: 'take another machine; nothing was changed',
    });
  }
  const swarms = new Set(
    pairs.flatMap(([, {swarm}]) => (swarm.cluster === undefined ? [] : [swarm.cluster])),
  );
  if (swarms.size > 1)
    throw new ClusterError('foreign', 'the machines are in different Swarms', {
      remedy: 'let the wrong ones leave (docker swarm leave), then run this again',
    });
  const worker = pairs.find(([, {swarm}]) => swarm.state === 'active' && !swarm.manager);
  if (worker !== undefined)
    throw new ClusterError('foreign', `"${worker[0].name}" is a worker of a Swarm`, {
      remedy: `promote it (docker node promote ${worker[0].name}) or let it leave, then run this again`,
    });
}

function prepare(member: ClusterMember, facts: MachineFacts): Step[] {
  return [
    ...(facts.certificate ? [] : [{kind: 'certificate' as const, machine: member.uuid}]),
    // Docker, swarm mode: incompatible with live-restore
    ...(facts.liveRestore
      ? [
          {
            kind: 'docker-config' as const,
            machine: member.uuid,
            daemonJson: withoutLiveRestore(facts.daemonJson),
          },
        ]
      : []),
  ];
}

function planEtcd(record: ClusterRecord, pairs: readonly Pair[]): Plan {
  const founders = pairs.filter(([member]) => member.founder);
  const listed = pairs.find(([, facts]) => facts.healthy && facts.members !== undefined)?.[1].members;
  const via = pairs.find(([, facts]) => facts.healthy)?.[0].uuid;
  for (const [member, facts] of pairs) {
    // A member that has started once and lost its data must be replaced: back with an empty disk it would vote twice.
    const known = listed?.find(each => each.peerUrls.includes(peerUrl(member)));
    if (known?.started === true && !facts.hasData)
      throw new ClusterError('member-lost', `the data of the etcd member "${member.name}" is gone`, {
        remedy: 'remove that member (etcdctl member remove), then join the machine anew',
      });
  }
  const begun = founders.flatMap(([member, facts]) =>
    start(member, facts, renderEtcdConfig(record, member, {cluster: foundersCluster(record), state: 'new'})),
  );
  const unhealthy = founders.filter(([, facts]) => !facts.healthy).map(([{name}]) => `etcd on ${name}`);
  const joiner = pairs.find(
    ([member, facts]) => !member.founder && !(facts.healthy && !isLearner(listed, member)),
  );
  // One change of membership at a time, and none while a founder is missing.
  if (begun.length > 0 || unhealthy.length > 0 || joiner === undefined || listed === undefined)
    return {steps: begun, waitsFor: begun.length > 0 ? [] : unhealthy};
  return planJoiner(record, joiner, listed, via ?? '');
}

function planJoiner(
  record: ClusterRecord,
  [member, facts]: Pair,
  listed: readonly EtcdMember[],
  via: string,
): Plan {
  const url = peerUrl(member);
  const known = listed.find(each => each.peerUrls.includes(url));
  if (known === undefined)
    return {steps: [{kind: 'etcd-add', via, machine: member.uuid, peerUrl: url}], waitsFor: []};
  const config = renderEtcdConfig(record, member, {
    cluster: joinersCluster(listed, member),
    state: 'existing',
  });
  const begun = start(member, facts, config);
  if (begun.length > 0) return {steps: begun, waitsFor: []};
  if (known.learner && known.started)
    return {steps: [{kind: 'etcd-promote', via, machine: member.uuid, id: known.id}], waitsFor: []};
  return {steps: [], waitsFor: [`etcd on ${member.name}`]};
}

// etcd reads `initial-*` only while it has no data, so a configuration is never touched afterwards.
function start(member: ClusterMember, facts: MachineFacts, config: string): Step[] {
  if (facts.running) return [];
  const begin = {kind: 'etcd-start' as const, machine: member.uuid};
  if (facts.hasData && facts.config !== undefined) return [begin];
  const control = renderControlEnvironment(member);
  return [{kind: 'etcd-config', machine: member.uuid, config, control}, begin];
}

function isLearner(listed: readonly EtcdMember[] | undefined, member: ClusterMember): boolean {
  const known = listed?.find(each => each.peerUrls.includes(peerUrl(member)));
  return known === undefined || known.learner;
}

function planSwarm(record: ClusterRecord, pairs: readonly Pair[]): Plan {
  const managers = pairs.filter(([, {swarm}]) => swarm.state === 'active' && swarm.manager);
  const unsettled = pairs.filter(([, {swarm}]) => swarm.state !== 'active' && swarm.state !== 'inactive');
  const outside = pairs.filter(([, {swarm}]) => swarm.state === 'inactive');
  if (unsettled.length > 0)
    return {
      steps: [],
      waitsFor: unsettled.map(([{name}, {swarm}]) => `Swarm on ${name} (${swarm.state})`),
    };
  const [first] = pairs;
  // Always the same machine: two commands at once found one Swarm, not two.
  if (managers.length === 0 && first !== undefined)
    return {steps: [{kind: 'swarm-init', machine: first[0].uuid}], waitsFor: []};
  const via = managers.map(([member]) => member.uuid);
  const [joiner] = outside;
  if (joiner !== undefined)
    return {
      steps: [
        ...(record.swarmTokensUsed ? [] : [{kind: 'swarm-note-tokens' as const}]),
        {kind: 'swarm-join', machine: joiner[0].uuid, via},
      ],
      waitsFor: [],
    };
  if (record.swarmTokensUsed) return {steps: [{kind: 'swarm-rotate', via: via[0] ?? ''}], waitsFor: []};
  return {steps: [], waitsFor: unreachableManagers(managers)};
}

/** Every manager must be seen reachable by every other: one view alone can be stale. */
function unreachableManagers(managers: readonly Pair[]): string[] {
  return managers
    .filter(([, {swarm}]) => managers.some(([, other]) => !other.swarm.reachable.includes(swarm.nodeId)))
    .map(([{name}]) => `Swarm on ${name} (not reachable from each manager)`);
}
