/** The OpenStack of infra/labs/openstack, as its tests see it: who may enter, and what exists in a project. */
import {access} from 'node:fs/promises';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {systemClock} from '../../../services/common/clock.ts';
import {cloudAccess} from '../../../machine-drivers/drivers/openstack/client/cloud-config.ts';
import {
  deleteServer,
  getServer,
  serversByTag,
} from '../../../machine-drivers/drivers/openstack/client/compute.ts';
import {hasCode} from '../../../machine-drivers/drivers/openstack/client/errors.ts';
import {
  createImage,
  deleteImage,
  listImages,
  uploadImage,
} from '../../../machine-drivers/drivers/openstack/client/images.ts';
import {
  listFloatingAddresses,
  listGroups,
  listPorts,
} from '../../../machine-drivers/drivers/openstack/client/network.ts';
import {listAll} from '../../../machine-drivers/drivers/openstack/client/pages.ts';
import {openSession} from '../../../machine-drivers/drivers/openstack/client/session.ts';
import type {Session} from '../../../machine-drivers/drivers/openstack/client/session.ts';
import {Readable} from 'node:stream';
import {Type} from 'typebox';

export const password = 'berth-secret';

/** By the account of `user`, without its password: what `openrc` files set. */
export function accountOf(user: string): Readonly<Record<string, string>> {
  return {
    auth_url: 'http://127.0.0.1:5000/v3',
    username: user,
    project_name: user,
    user_domain_id: 'default',
    project_domain_id: 'default',
    region_name: 'RegionOne',
  };
}

/** The lab's state folder, when the lab is up (`infra/labs/openstack/main.ts` names it). */
export async function findLab(): Promise<string | undefined> {
  const folder = process.env['HAWSER_OPENSTACK_LAB'];
  if (folder === undefined) return undefined;
  await access(join(folder, 'clouds.yaml'));
  return folder;
}

export const skipped =
  'SKIPPED: no OpenStack lab is up (node infra/labs/openstack/main.ts), so the openstack driver was not tried';

/** The project `user` of the lab, until the test ends. */
export async function enterLab(t: Pick<ExecutionContext, 'teardown'>, user = 'hawser'): Promise<Session> {
  const session = await openSession(cloudAccess({...accountOf(user), password}), {
    clock: systemClock,
    signal: AbortSignal.timeout(3_600_000),
  });
  t.teardown(() => session[Symbol.dispose]());
  return session;
}

/** An image that Nova's fake driver takes: its bytes do not matter. */
export async function smallImage(session: Session): Promise<string> {
  const image = await createImage(session, {name: 'small', disk_format: 'raw', container_format: 'bare'});
  const bytes = Buffer.alloc(4096, 7);
  await uploadImage(session, image.id, {open: () => Readable.from([bytes]), length: bytes.length});
  return image.id;
}

export async function removeImages(session: Session): Promise<void> {
  for (const image of await listImages(session, {owner: session.projectId}))
    await deleteImage(session, image.id);
}

/** What the project has of everything that a machine is made of, found without the driver's marks. */
export async function inventory(session: Session): Promise<Readonly<Record<string, number>>> {
  const named = Type.Object({id: Type.String()});
  const [servers, ports, addresses, groups, keys] = await Promise.all([
    listAll(session, {service: 'compute', path: '/servers', key: 'servers', item: named}),
    listPorts(session, {}),
    listFloatingAddresses(session, {}),
    listGroups(session, {}),
    session.ask(
      'compute',
      {method: 'GET', path: '/os-keypairs'},
      Type.Object({keypairs: Type.Array(Type.Unknown())}),
    ),
  ]);
  return {
    servers: servers.length,
    // the router's own ports and those of floating addresses are the network's
    ports: ports.filter(port => !/router|floating/.test(port.device_owner ?? '')).length,
    'floating addresses': addresses.length,
    'security groups': groups.filter(group => group.name !== 'default').length,
    'key pairs': keys.keypairs.length,
  };
}

export const nothing: Readonly<Record<string, number>> = {
  servers: 0,
  ports: 0,
  'floating addresses': 0,
  'security groups': 0,
  'key pairs': 0,
};

/** Removes the machine's server as its owner might, and waits until Nova has none. */
export async function removeServerOf(session: Session, uuid: string): Promise<void> {
  for (const server of await serversByTag(session, `hawser-uuid-${uuid}`)) {
    await deleteServer(session, server.id);
    for (;;) {
      const status = await getServer(session, server.id).then(
        found => found.status,
        (error: unknown) => {
          if (hasCode(error, 'not-found')) return 'DELETED';
          throw error;
        },
      );
      if (status === 'DELETED') break;
      await systemClock.sleep(500);
    }
  }
}
