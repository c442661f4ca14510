/** The plan against a model of machines: whatever was done and wherever it was cut off, it ends with one cluster. */
import test from 'ava';
import * as fc from 'fast-check';
import {installedToken, parseMembers, peerUrl} from '../../../services/provisioner/cluster/etcd.ts';
import {planCluster, type MachineFacts, type Step} from '../../../services/provisioner/cluster/plan.ts';
import {
  foundCluster,
  sameFounders,
  withMember,
  type Candidate,
  type ClusterRecord,
} from '../../../services/provisioner/cluster/record.ts';
import {withoutLiveRestore} from '../../../services/provisioner/cluster/swarm.ts';

const token = 'ab'.repeat(16);

function candidate(index: number): Candidate {
  return {
    name: `m${index}`,
    uuid: `00000000-0000-4000-8000-00000000000${index}`,
    address: `10.86.1.${index}`,
  };
}

const three = [candidate(1), candidate(2), candidate(3)];

function blank(uuid: string): MachineFacts {
  return {
    uuid,
    certificate: false,
    config: undefined,
    hasData: false,
    running: false,
    healthy: false,
    members: undefined,
    daemonJson: '{"live-restore":true,"log-driver":"local"}',
    liveRestore: true,
    swarm: {state: 'inactive', nodeId: '', cluster: undefined, manager: false, reachable: []},
  };
}

/** What the steps do to machines, as far as the facts show it. Fails the test for what etcd or Swarm would refuse. */
class Model {
  record: ClusterRecord;
  readonly facts = new Map<string, MachineFacts>();
  readonly swarms: string[] = [];
  readonly bootstraps = new Set<string>();
  private listed: {id: string; url: string; name: string; started: boolean; learner: boolean}[] = [];

  constructor(record: ClusterRecord) {
    this.record = record;
    for (const {uuid} of record.members) this.facts.set(uuid, blank(uuid));
  }

  at(uuid: string): MachineFacts {
    const found = this.facts.get(uuid);
    if (found === undefined) throw new Error(`step for an unknown machine ${uuid}`);
    return found;
  }

  set(uuid: string, change: Partial<MachineFacts>): void {
    this.facts.set(uuid, {...this.at(uuid), ...change});
  }

  do(step: Step): void {
    switch (step.kind) {
      case 'certificate':
        return this.set(step.machine, {certificate: true});
      case 'docker-config':
        return this.set(step.machine, {
          daemonJson: step.daemonJson,
          liveRestore: step.daemonJson.includes('"live-restore": true'),
        });
      case 'etcd-config':
        if (this.at(step.machine).hasData) throw new Error('a member with data was configured anew');
        return this.set(step.machine, {config: step.config});
      case 'etcd-start':
        return this.startEtcd(step.machine);
      case 'etcd-add':
        if (this.listed.some(member => member.learner)) throw new Error('two learners at once');
        this.listed.push({id: 'f00', url: step.peerUrl, name: '', started: false, learner: true});
        return;
      case 'etcd-promote':
        this.listed = this.listed.map(member =>
          member.id === step.id ? {...member, learner: false} : member,
        );
        return;
      case 'swarm-init': {
        if (this.at(step.machine).liveRestore) throw new Error('Swarm with live-restore');
        const cluster = `swarm${this.swarms.length}`;
        this.swarms.push(cluster);
        return this.inSwarm(step.machine, cluster);
      }
      case 'swarm-note-tokens':
        this.record = {...this.record, swarmTokensUsed: true};
        return;
      case 'swarm-join':
        if (!this.record.swarmTokensUsed) throw new Error('a token was handed out without a note of it');
        return this.inSwarm(step.machine, this.at(step.via[0] ?? '').swarm.cluster);
      case 'swarm-rotate':
        this.record = {...this.record, swarmTokensUsed: false};
        return;
    }
  }

  private inSwarm(uuid: string, cluster: string | undefined): void {
    this.set(uuid, {
      swarm: {state: 'active', nodeId: `node-${uuid}`, cluster, manager: true, reachable: []},
    });
  }

  private startEtcd(uuid: string): void {
    const {config = '', certificate} = this.at(uuid);
    if (!certificate) throw new Error('etcd without its certificate');
    const parsed = JSON.parse(config) as Record<string, string>;
    if (parsed['initial-cluster-state'] === 'new') {
      this.bootstraps.add(`${parsed['initial-cluster-token']} ${parsed['initial-cluster']}`);
      if (this.listed.length === 0)
        this.listed = (parsed['initial-cluster'] ?? '').split(',').map((pair, index) => {
          const [name = '', url = ''] = pair.split('=');
          return {id: `a${index}`, url, name, started: false, learner: false};
        });
    }
    this.listed = this.listed.map(member =>
      member.url === parsed['initial-advertise-peer-urls']
        ? {...member, name: parsed['name'] ?? '', started: true}
        : member,
    );
    this.set(uuid, {running: true, hasData: true});
  }

  /** The facts as the machines would show them now. */
  look(): MachineFacts[] {
    const running = [...this.facts.values()].filter(facts => facts.running).length;
    const voters = this.listed.filter(member => !member.learner).length;
    const quorum = running > voters / 2;
    const managers = [...this.facts.values()].filter(facts => facts.swarm.manager);
    return [...this.facts.values()].map(facts => {
      const self = this.record.members.find(member => member.uuid === facts.uuid);
      const learner = this.listed.find(member => self && member.url === peerUrl(self))?.learner === true;
      const healthy = facts.running && quorum && !learner;
      return {
        ...facts,
        healthy,
        members: healthy
          ? this.listed.map(({id, name, url, started, learner}) => ({
              id,
              name,
              started,
              learner,
              peerUrls: [url],
            }))
          : undefined,
        swarm: {
          ...facts.swarm,
          reachable: facts.swarm.manager ? managers.map(manager => manager.swarm.nodeId) : [],
        },
      };
    });
  }

  /** Does the plan's steps until it wants none; dies after `lives[n]` steps of the n-th run. Returns the runs needed. */
  settle(lives: readonly number[]): void {
    for (let run = 0; run < 60; run++) {
      let left = lives[run] ?? Number.POSITIVE_INFINITY;
      for (let round = 0; round < 40 && left > 0; round++) {
        const {steps, waitsFor} = planCluster(this.record, this.look());
        if (steps.length === 0 && waitsFor.length === 0) return;
        for (const step of steps) {
          if (left-- <= 0) break;
          this.do(step);
        }
      }
    }
    throw new Error('it never settles');
  }
}

test('killed after any steps of any runs, it ends with one etcd and one Swarm of all members', t => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({min: 0, max: 6}), {maxLength: 25}),
      fc.constantFrom(1, 3, 5),
      (lives, size) => {
        const members = Array.from({length: size}, (_, index) => candidate(index + 1));
        const model = new Model(foundCluster('web', token, members));
        model.settle(lives);
        const facts = model.look();
        return (
          model.bootstraps.size === 1 &&
          model.swarms.length === 1 &&
          !model.record.swarmTokensUsed &&
          facts.every(
            each => each.healthy && each.members?.length === size && each.swarm.reachable.length === size,
          )
        );
      },
    ),
  );
  t.pass();
});

test('a join killed anywhere ends with one more voting member, founded by nobody anew', t => {
  fc.assert(
    fc.property(fc.array(fc.integer({min: 0, max: 4}), {maxLength: 15}), lives => {
      const model = new Model(foundCluster('web', token, three));
      model.settle([]);
      model.record = withMember(model.record, candidate(4));
      model.facts.set(candidate(4).uuid, blank(candidate(4).uuid));
      model.settle(lives);
      const facts = model.look();
      return (
        model.bootstraps.size === 1 &&
        model.swarms.length === 1 &&
        !model.record.swarmTokensUsed &&
        facts.every(each => each.healthy && each.members?.every(member => !member.learner) === true)
      );
    }),
  );
  t.pass();
});

test('a cluster that stands gets no step, in whatever order its machines are asked', t => {
  const model = new Model(foundCluster('web', token, three));
  model.settle([]);
  t.deepEqual(planCluster(model.record, model.look().toReversed()), {steps: [], waitsFor: []});
});

test('a member that stopped is started, and not configured anew', t => {
  const model = new Model(foundCluster('web', token, three));
  model.settle([]);
  model.set(candidate(2).uuid, {running: false});
  t.deepEqual(planCluster(model.record, model.look()).steps, [
    {kind: 'etcd-start', machine: candidate(2).uuid},
  ]);
});

test('a member whose data is gone is not started again', t => {
  const model = new Model(foundCluster('web', token, three));
  model.settle([]);
  model.set(candidate(2).uuid, {running: false, hasData: false});
  t.throws(() => planCluster(model.record, model.look()), {code: 'member-lost'});
});

test('a machine of another etcd or another Swarm is left alone', t => {
  const record = foundCluster('web', token, three);
  const etcd = new Model(record);
  etcd.set(candidate(1).uuid, {config: '{"initial-cluster-token":"another"}'});
  t.throws(() => planCluster(record, etcd.look()), {code: 'foreign'});
  const yaml = new Model(record);
  yaml.set(candidate(1).uuid, {config: 'name: by-hand\n'});
  t.throws(() => planCluster(record, yaml.look()), {code: 'foreign'});
  const swarm = new Model(record);
  for (const [index, cluster] of [
    [1, 'x'],
    [2, 'y'],
  ] as const)
    swarm.set(candidate(index).uuid, {
      swarm: {state: 'active', nodeId: `n${index}`, cluster, manager: true, reachable: []},
    });
  t.throws(() => planCluster(record, swarm.look()), {code: 'foreign'});
  const worker = new Model(record);
  worker.set(candidate(3).uuid, {
    swarm: {state: 'active', nodeId: 'n3', cluster: undefined, manager: false, reachable: []},
  });
  t.throws(() => planCluster(record, worker.look()), {code: 'foreign'});
});

test('a manager that one other cannot reach is waited for, though it says itself that all is well', t => {
  const model = new Model(foundCluster('web', token, three));
  model.settle([]);
  const facts = model
    .look()
    .map(each =>
      each.uuid === candidate(1).uuid
        ? {...each, swarm: {...each.swarm, reachable: each.swarm.reachable.slice(0, 2)}}
        : each,
    );
  const plan = planCluster(model.record, facts);
  t.deepEqual(plan.steps, []);
  t.is(plan.waitsFor.length, 1);
});

test('founders: odd, distinct, the same again', t => {
  t.throws(() => foundCluster('web', token, three.slice(0, 2)), {code: 'bad-members'});
  t.throws(() => foundCluster('web', token, [candidate(1), candidate(1), candidate(2)]), {
    code: 'bad-members',
  });
  t.throws(() => foundCluster('Web', token, three), {code: 'bad-name'});
  const record = foundCluster('web', token, three);
  t.deepEqual(record, foundCluster('web', token, three.toReversed()));
  t.true(sameFounders(record, three.toReversed()));
  t.false(sameFounders(record, [candidate(1), candidate(2), candidate(4)]));
  t.is(withMember(record, candidate(1)), record);
});

test("etcdctl's list: a founder that never ran has not started, a learner has no name, ids stay text", t => {
  t.deepEqual(
    parseMembers(
      'ab12cd34ef567890, started, m1, https://10.86.1.1:2380, https://10.86.1.1:2379, false\n' +
        'cd, started, m2, https://10.86.1.2:2380, , false\n' +
        'ffffffffffffffff, unstarted, , https://10.86.1.4:2380, , true\n',
    ),
    [
      {
        id: 'ab12cd34ef567890',
        started: true,
        name: 'm1',
        peerUrls: ['https://10.86.1.1:2380'],
        learner: false,
      },
      {id: 'cd', started: false, name: 'm2', peerUrls: ['https://10.86.1.2:2380'], learner: false},
      {id: 'ffffffffffffffff', started: false, name: '', peerUrls: ['https://10.86.1.4:2380'], learner: true},
    ],
  );
  t.is(installedToken('no json'), undefined);
});

test('daemon.json loses live-restore and nothing else', t => {
  t.deepEqual(JSON.parse(withoutLiveRestore('{"live-restore":true,"log-opts":{"max-size":"20m"}}')), {
    'live-restore': false,
    'log-opts': {'max-size': '20m'},
  });
  t.deepEqual(JSON.parse(withoutLiveRestore(undefined)), {'live-restore': false});
  t.throws(() => withoutLiveRestore('[]'), {code: 'refused'});
  t.throws(() => withoutLiveRestore('{'), {code: 'refused'});
});
