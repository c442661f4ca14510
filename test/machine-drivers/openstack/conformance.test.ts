/** The openstack driver over a cloud on the wire; test/openstack/ runs the same against a real one. */
import test from 'ava';
import {silentProgress} from '../../../services/common/progress.ts';
import {createMachine} from '../../../machine-drivers/create.ts';
import {openstackDriver} from '../../../machine-drivers/drivers/openstack/index.ts';
import type {OpenStackSettings} from '../../../machine-drivers/drivers/openstack/settings.ts';
import {conformance} from '../conformance.ts';
import {stubDeps, temporaryFolder} from '../support/runtime.ts';
import {WireCloud} from './wire-cloud.ts';
import {startWire} from './wire.ts';

function settingsFor(url: string, flavor = 'small'): OpenStackSettings {
  return {
    access: {options: {auth_url: url, username: 'u', project_name: 'project'}},
    flavor: {name: flavor},
    image: {id: 'image-1'},
    allow: [],
    floatingPool: 'public',
    ipVersion: 4,
    configDrive: true,
    metadata: {},
    activeSeconds: 60,
    sshPort: 22,
  };
}

conformance(test.serial, {
  name: 'openstack on the wire',
  subject: async t => {
    const cloud = new WireCloud();
    const wire = await startWire(t, cloud.answer, {password: 'sesame'});
    const marked = (things: ReadonlyArray<Record<string, unknown>>, uuid: string) =>
      things.filter(thing => JSON.stringify(thing).includes(uuid)).length;
    return {
      driver: openstackDriver,
      settings: settingsFor(wire.url),
      fresh: 'Running',
      env: {OS_PASSWORD: 'sesame'},
      shared: ['project', 'region', 'image', 'flavor', 'network', 'pool', 'securityGroup'],
      together: 20,
      secrets: ['sesame'],
      wrongCredentials: {env: {OS_PASSWORD: 'wrong'}},
      count: ({uuid}) =>
        Promise.resolve({
          servers: marked(cloud.things.servers, uuid),
          ports: marked(cloud.things.ports, uuid),
          'floating addresses': marked(cloud.things.floatingips, uuid),
        }),
      vanish: ({uuid}) => {
        const gone = cloud.things.servers.findIndex(server => JSON.stringify(server).includes(uuid));
        cloud.things.servers.splice(gone, 1);
        return Promise.resolve();
      },
      questions: () =>
        wire.lines().filter(line => line.includes('/servers/detail?tags=hawser-fleet-')).length,
    };
  },
});

test.serial(
  'a server in ERROR is rolled back with the text of its fault, and the group goes with the last',
  async t => {
    const home = await temporaryFolder(t);
    const cloud = new WireCloud();
    const wire = await startWire(t, cloud.answer);
    const plain = await stubDeps(home, [openstackDriver]);
    const deps = {...plain, runtime: {...plain.runtime, env: {OS_PASSWORD: 'p'}}};
    const wish = {name: 'm', driver: 'openstack', settings: settingsFor(wire.url, 'nohost'), seconds: 1};
    const error = await t.throwsAsync(createMachine(deps, wish, silentProgress), {code: 'driver-failed'});
    t.regex(error.message, /No valid host was found/);
    const left = Object.entries(cloud.things).filter(
      ([kind]) => kind !== 'networks' && !kind.endsWith('rules'),
    );
    t.deepEqual(
      left.map(([, things]) => things.length),
      [0, 0, 0, 0],
    );
    t.deepEqual(await deps.store.names(), []);
  },
);

test.serial('when the answer to any change is lost, the same creation ends with one of each', async t => {
  for (let lost = 1; ; lost++) {
    const home = await temporaryFolder(t);
    const cloud = new WireCloud();
    let changes = 0;
    const wire = await startWire(t, (seen, tokens) => {
      const reply = cloud.answer(seen, tokens);
      const change = seen.line.startsWith('POST') || seen.line.startsWith('DELETE');
      return change && ++changes === lost ? {...reply, hangUp: true} : reply;
    });
    const plain = await stubDeps(home, [openstackDriver]);
    const deps = {...plain, runtime: {...plain.runtime, env: {OS_PASSWORD: 'p'}}};
    const wish = {
      name: 'm',
      driver: 'openstack',
      settings: settingsFor(wire.url),
      seconds: 1,
      onFailure: 'keep' as const,
    };
    const failed = await createMachine(deps, wish, silentProgress).then(
      () => false,
      () => true,
    );
    if (failed) await createMachine(deps, wish, silentProgress);
    const {servers, ports, floatingips, 'security-groups': groups} = cloud.things;
    t.deepEqual(
      [servers, ports, floatingips, groups].map(things => things.length),
      [1, 1, 1, 1],
      `change ${lost}`,
    );
    if (changes < lost) break;
    t.true(failed);
  }
});

test.serial('a group that went away while another machine was half made is made anew, for both', async t => {
  const home = await temporaryFolder(t);
  const cloud = new WireCloud();
  let full = true;
  const wire = await startWire(t, (seen, tokens) =>
    full && seen.line === 'POST /network/v2.0/ports'
      ? {status: 409, json: {NeutronError: {type: 'OverQuota', message: 'Quota exceeded'}}}
      : cloud.answer(seen, tokens),
  );
  const plain = await stubDeps(home, [openstackDriver]);
  const deps = {...plain, runtime: {...plain.runtime, env: {OS_PASSWORD: 'p'}}};
  const create = (name: string) =>
    createMachine(
      deps,
      {name, driver: 'openstack', settings: settingsFor(wire.url), seconds: 1, onFailure: 'keep'},
      silentProgress,
    );
  await t.throwsAsync(create('half'), {message: /Quota exceeded/});
  full = false;
  cloud.things['security-groups'].length = 0;
  await create('whole');
  await create('half');
  t.is(cloud.things['security-groups'].length, 1);
  t.is(cloud.things.ports.length, 2);
});
