/** The openstack driver against a real Keystone, Glance, Neutron and Nova: what every driver must hold. */
import anyTest from 'ava';
import {openstackDriver} from '../../machine-drivers/drivers/openstack/index.ts';
import {serversByTag} from '../../machine-drivers/drivers/openstack/client/compute.ts';
import {listFloatingAddresses, listPorts} from '../../machine-drivers/drivers/openstack/client/network.ts';
import type {Session} from '../../machine-drivers/drivers/openstack/client/session.ts';
import {readMark, uuidTag} from '../../machine-drivers/drivers/openstack/marks.ts';
import type {OpenStackSettings} from '../../machine-drivers/drivers/openstack/settings.ts';
import {conformance} from '../machine-drivers/conformance.ts';
import {startCountingProxy} from './support/counting-proxy.ts';
import {
  accountOf,
  enterLab,
  findLab,
  inventory,
  nothing,
  password,
  removeImages,
  removeServerOf,
  skipped,
  smallImage,
} from './support/lab.ts';

const NOVA_PORT = 8774;

if ((await findLab()) === undefined) anyTest(skipped, t => t.pass());
else {
  let image: Promise<string> | undefined;
  const session = await enterLab({
    teardown: end =>
      anyTest.after.always('leave the cloud', async () => {
        await end();
      }),
  });

  conformance(anyTest.serial, {
    name: 'openstack',
    subject: async t => {
      const proxy = await startCountingProxy(t, {port: NOVA_PORT});
      const settings: OpenStackSettings = {
        access: {options: {...accountOf('hawser'), compute_endpoint_override: `${proxy.url}/v2.1`}},
        flavor: {name: 'm1.nano'},
        image: {id: await (image ??= smallImage(session))},
        allow: [],
        floatingPool: 'public',
        ipVersion: 4,
        configDrive: true,
        metadata: {role: 'test'},
        activeSeconds: 900,
        sshPort: 22,
      };
      return {
        driver: openstackDriver,
        settings,
        fresh: 'Running',
        slow: true,
        env: {OS_PASSWORD: password},
        shared: ['project', 'region', 'image', 'flavor', 'network', 'pool', 'securityGroup'],
        together: 20,
        secrets: [password],
        wrongCredentials: {env: {OS_PASSWORD: 'wrong'}},
        count: ({uuid}) => countOf(session, uuid),
        vanish: ({uuid}) => removeServerOf(session, uuid),
        questions: () => proxy.count('GET /v2.1/servers/detail?tags=hawser-fleet-'),
      };
    },
  });

  anyTest.serial('openstack: after all of them, the project is empty', async t => {
    t.deepEqual(await inventory(session), nothing);
    await removeImages(session);
  });
}

async function countOf(session: Session, uuid: string): Promise<Readonly<Record<string, number>>> {
  const [servers, ports, addresses] = await Promise.all([
    serversByTag(session, uuidTag(uuid)),
    listPorts(session, {}),
    listFloatingAddresses(session, {}),
  ]);
  return {
    servers: servers.length,
    ports: ports.filter(port => readMark(port.description)?.uuid === uuid).length,
    'floating addresses': addresses.filter(address => readMark(address.description)?.uuid === uuid).length,
  };
}
