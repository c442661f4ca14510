/** Three real dockerd and three real etcd become one cluster, however often the command is killed on its way. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {systemClock} from '../../services/common/clock.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {createClusterStore} from '../../services/provisioner/cluster/adapters/file-store.ts';
import {openMemberAuthority} from '../../services/provisioner/cluster/adapters/member-authority.ts';
import {parseMembers, type EtcdMember} from '../../services/provisioner/cluster/etcd.ts';
import type {ClusterMachine, ClusterRuntime} from '../../services/provisioner/cluster/ports.ts';
import {foundCluster, withMember} from '../../services/provisioner/cluster/record.ts';
import {reconcile} from '../../services/provisioner/cluster/reconcile.ts';
import {clusterStatus} from '../../services/provisioner/cluster/status.ts';
import {labProblem, startLab, tail, type Lab, type LabMachine} from './support/lab.ts';

const token = '0123456789abcdef0123456789abcdef';

class Killed extends Error {}

/** A runtime whose command dies at its `calls`-th change, after the change was made or before. */
function mortal(home: string, lab: Lab, calls: number, when: 'before' | 'after'): ClusterRuntime {
  let left = calls;
  const guard = async <Result>(changes: boolean, work: () => Promise<Result>): Promise<Result> => {
    if (!changes) return work();
    left--;
    if (left < 0 || (left === 0 && when === 'before')) throw new Killed();
    const result = await work();
    if (left === 0) throw new Killed();
    return result;
  };
  const wrap = (machine: LabMachine): ClusterMachine => ({
    ...machine,
    // Observation begins with its own helper function; everything else changes something.
    run: (script, options) => guard(!script.includes('emit()'), () => machine.run(script, options)),
    docker: (method, path, body) => guard(method === 'POST', () => machine.docker(method, path, body)),
  });
  const store = createClusterStore(home);
  return {
    clock: systemClock,
    store: {...store, write: record => guard(true, () => store.write(record))},
    newToken: () => token,
    authority: cluster => openMemberAuthority(home, cluster, systemClock),
    machine: name => {
      const found = lab.machines.find(machine => machine.name === name);
      return found === undefined ? Promise.reject(new Error(name)) : Promise.resolve(wrap(found));
    },
  };
}

/** etcd lists its members by their ids, which are of no order. */
function namesOf(members: readonly EtcdMember[]): string {
  return members
    .map(member => member.name)
    .toSorted((a, b) => a.localeCompare(b))
    .join(' ');
}

const problem = await labProblem();
const run = problem === undefined ? test.serial : test.serial.skip;
if (problem !== undefined) test.serial(`the lab: ${problem}`, t => t.log('SKIPPED', problem));

run(
  'init killed at every change and run again forms one cluster; a fourth joins; a foreign one is refused',
  async t => {
    t.timeout(600_000);
    const home = await mkdtemp(join(tmpdir(), 'hawser-cluster-'));
    const lab = await startLab(['m1', 'm2', 'm3', 'm4', 'm5']);
    t.teardown(async () => {
      await lab.close();
      await rm(home, {recursive: true, force: true});
    });
    const [m1, m2, m3, m4, m5] = lab.machines;
    if (!m1 || !m2 || !m3 || !m4 || !m5) throw new Error('machines are missing');
    const store = createClusterStore(home);
    await store.create(foundCluster('web', token, [m3, m1, m2]));

    const bringUp = async (calls: number, when: 'before' | 'after') => {
      const record = await store.read('web');
      if (record === undefined) throw new Error('no record');
      return reconcile(record, {
        runtime: mortal(home, lab, calls, when),
        progress: {...silentProgress, note: line => t.log(line)},
        signal: new AbortController().signal,
        timeoutSeconds: 120,
      });
    };
    let deaths = 0;
    /** Dies at its first change, at its second, ... up to its seventh, and over again, until nothing is left to change. */
    const untilDone = async () => {
      for (let attempt = 0; attempt < 60; attempt++) {
        try {
          return await bringUp(1 + (attempt % 7), attempt % 2 === 0 ? 'after' : 'before');
        } catch (error) {
          if (!(error instanceof Killed)) {
            for (const machine of lab.machines) t.log(machine.name, await tail(machine, '/run/etcd.log'));
            throw error;
          }
          deaths++;
        }
      }
      throw new Error('no end');
    };

    await untilDone();
    t.log(`killed ${deaths} times on the way`);
    t.true(deaths >= 6);
    const nodes = async (machine: LabMachine) => (await machine.docker('GET', '/nodes')).body;
    const count = (text: string) => (text.match(/"Reachability":"reachable"/g) ?? []).length;
    t.is(count(await nodes(m1)), 3);
    const list = async (machine: LabMachine) =>
      parseMembers(
        await machine.run('set -a; . /etc/hawser/etcdctl.env; etcdctl member list -w simple\n', {
          timeoutMs: 30_000,
        }),
      );
    t.is(namesOf(await list(m2)), 'm1 m2 m3');
    const status = await clusterStatus((await store.read('web')) ?? t.fail(), mortal(home, lab, 0, 'before'));
    t.true(status.well, JSON.stringify(status));

    // Run again: nothing is changed at all.
    await bringUp(0, 'before');
    const swarm = JSON.parse((await m1.docker('GET', '/swarm')).body) as {
      DataPathPort: number;
      JoinTokens: {Manager: string};
    };
    t.is(swarm.DataPathPort, 7789);

    // Tokens that were used are worth nothing any more.
    t.false((await store.read('web'))?.swarmTokensUsed);

    const record = (await store.read('web')) ?? t.fail();
    await store.write(withMember(record, m4));
    await untilDone();
    const joined = await list(m1);
    t.is(namesOf(joined), 'm1 m2 m3 m4');
    t.true(joined.every(member => !member.learner));
    t.is(count(await nodes(m4)), 4);
    const after = JSON.parse((await m1.docker('GET', '/swarm')).body) as {JoinTokens: {Manager: string}};
    t.not(after.JoinTokens.Manager, swarm.JoinTokens.Manager, 'rotated after the join');

    // The whole is one consistent store.
    await m4.run('set -a; . /etc/hawser/etcdctl.env; etcdctl put /t 1\n', {timeoutMs: 30_000});
    t.regex(
      await m2.run('set -a; . /etc/hawser/etcdctl.env; etcdctl get /t\n', {timeoutMs: 30_000}),
      /\/t\n1/,
    );

    // A machine with a Swarm of its own is left as it is.
    await m5.run(
      `echo '{"live-restore": false}' > /etc/docker/daemon.json; systemctl reload docker.service\n`,
      {
        timeoutMs: 30_000,
      },
    );
    await m5.docker('POST', '/swarm/init', {ListenAddr: '0.0.0.0:2377', AdvertiseAddr: m5.address});
    const own = (await m5.docker('GET', '/info')).body;
    const withForeign = withMember((await store.read('web')) ?? t.fail(), m5);
    const refused = await t.throwsAsync(
      reconcile(withForeign, {
        runtime: mortal(home, lab, 0, 'before'),
        progress: silentProgress,
        signal: new AbortController().signal,
        timeoutSeconds: 60,
      }),
    );
    t.like(refused, {code: 'foreign'});
    t.true(own.includes('"ControlAvailable":true'));
  },
);
