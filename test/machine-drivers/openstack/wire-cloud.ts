/**
 * A cloud of one project on the wire, for where the lab (infra/labs/openstack) does not fit: it answers as the lab was
 * seen to, makes a new thing each time it is asked, and refuses what the lab refuses. A server is ACTIVE when it is next
 * looked at.
 */
import {randomUUID} from 'node:crypto';
import type {Answer, Reply, Seen} from './wire.ts';

type Thing = Record<string, unknown> & {id: string};

const collections = {
  servers: 'server',
  ports: 'port',
  'security-groups': 'security_group',
  'security-group-rules': 'security_group_rule',
  floatingips: 'floatingip',
  networks: 'network',
} as const;
type Collection = keyof typeof collections;

export class WireCloud {
  readonly things: Readonly<Record<Collection, Thing[]>> = {
    servers: [],
    ports: [],
    'security-groups': [],
    'security-group-rules': [],
    floatingips: [],
    networks: [
      {id: 'net-1', name: 'private', 'router:external': false},
      {id: 'net-2', name: 'public', 'router:external': true},
    ],
  };
  #next = 2;

  readonly answer: Answer = seen => {
    const [method = '', url = ''] = seen.line.split(' ');
    const {pathname, searchParams} = new URL(url, 'http://cloud');
    const [, , , name = '', id = '', verb = ''] = pathname.split('/');
    const fixed = this.#fixed(name, id, verb);
    if (fixed !== undefined) return {status: 200, json: fixed};
    if (name === 'servers' && verb === 'action') return this.#act(id, seen);
    if (!isCollection(name)) return {status: 404, json: {}};
    if (method === 'POST') return this.#make(name, seen);
    if (method === 'GET' && (id === '' || id === 'detail')) return this.#list(name, searchParams);
    const thing = this.things[name].find(one => one.id === id);
    if (thing === undefined) return notFound(name);
    if (method === 'PUT') Object.assign(thing, Object.values(bodyOf(seen))[0]);
    if (method === 'DELETE') return this.#remove(name, thing);
    if (thing['status'] === 'BUILD') this.#settle(thing);
    return {status: 200, json: {[collections[name]]: thing}};
  };

  #fixed(name: string, id: string, verb: string): unknown {
    if (name === 'flavors') {
      const flavor = (flavorName: string) => ({
        id: flavorName,
        name: flavorName,
        ram: 512,
        vcpus: 1,
        disk: 1,
      });
      return {flavors: [flavor('small'), flavor('nohost')]};
    }
    if (name === 'images') return {id, name: id, status: 'active', min_disk: 1, min_ram: 512};
    if (name === 'limits') return {limits: {absolute}};
    if (name === 'quotas' && verb === 'details') {
      return {
        quota: {floatingip: {limit: 50, used: this.things.floatingips.length}, port: {limit: -1, used: 0}},
      };
    }
    return undefined;
  }

  #list(name: Collection, query: URLSearchParams): Reply {
    const key = name.replaceAll('-', '_');
    for (const server of this.things.servers) if (server['status'] === 'BUILD') this.#settle(server);
    const found = this.things[name].filter(thing =>
      [...query].every(([field, value]) => {
        if (field === 'project_id') return true;
        const has = field === 'tags' ? thing['tags'] : [thing[field]];
        return Array.isArray(has) && has.map(String).includes(value);
      }),
    );
    return {status: 200, json: {[key]: found}};
  }

  #make(name: Collection, seen: Seen): Reply {
    const body = bodyOf(seen)[collections[name]];
    const given = typeof body === 'object' && body !== null ? {...body} : {};
    const thing: Thing = {...given, id: randomUUID()};
    const refusal = this.#complete(name, thing);
    if (refusal !== undefined) return refusal;
    this.things[name].push(thing);
    return {status: name === 'servers' ? 202 : 201, json: {[collections[name]]: thing}};
  }

  /** What the service itself puts to a new thing, or its refusal. */
  #complete(name: Collection, thing: Thing): Reply | undefined {
    const number = this.#next++;
    const inUse = (type: string): Reply => ({status: 409, json: {NeutronError: {type, message: type}}});
    if (name === 'ports') {
      const groups = Array.isArray(thing['security_groups']) ? thing['security_groups'] : [];
      const known = groups.every(id => this.things['security-groups'].some(group => group.id === id));
      if (!known) return notFound('security-groups');
      const fixed_ips = [{ip_address: `10.20.${number >> 8}.${number & 255}`}];
      Object.assign(thing, {device_id: '', device_owner: '', mac_address: `fa:16:3e:0:${number}`, fixed_ips});
    }
    if (name === 'floatingips') thing['floating_ip_address'] = `172.24.${number >> 8}.${number & 255}`;
    if (name === 'security-group-rules') {
      const group = thing['security_group_id'];
      if (!this.things['security-groups'].some(({id}) => id === group)) return notFound('security-groups');
      const same = (rule: Thing) => JSON.stringify({...rule, id: ''});
      if (this.things[name].some(rule => same(rule) === same(thing))) return inUse('SecurityGroupRuleExists');
    }
    if (name === 'servers') {
      const port = this.#portOf(thing);
      if (port === undefined || port['device_id'] !== '') return inUse('PortInUse');
      port['device_id'] = thing.id;
      const created = new Date(number * 1000).toISOString();
      Object.assign(thing, {status: 'BUILD', created, addresses: {}, 'OS-EXT-STS:task_state': null});
    }
    return undefined;
  }

  #settle(server: Thing): void {
    if (server['flavorRef'] === 'nohost') {
      const message = 'No valid host was found. There are not enough hosts available.';
      Object.assign(server, {status: 'ERROR', fault: {message}});
    } else server['status'] = 'ACTIVE';
  }

  #act(id: string, seen: Seen): Reply {
    const server = this.things.servers.find(one => one.id === id);
    if (server === undefined) return notFound('servers');
    const [wanted, from] = 'os-start' in bodyOf(seen) ? ['ACTIVE', 'SHUTOFF'] : ['SHUTOFF', 'ACTIVE'];
    if (server['status'] !== from) return {status: 409, json: {conflictingRequest: {message: 'vm_state'}}};
    server['status'] = wanted;
    return {status: 202};
  }

  #remove(name: Collection, thing: Thing): Reply {
    if (name === 'security-groups') {
      const used = this.things.ports.some(port => JSON.stringify(port['security_groups']).includes(thing.id));
      if (used) return {status: 409, json: {NeutronError: {type: 'SecurityGroupInUse', message: 'in use'}}};
    }
    this.things[name].splice(this.things[name].indexOf(thing), 1);
    if (name === 'servers') {
      const port = this.things.ports.find(one => one['device_id'] === thing.id);
      if (port !== undefined) port['device_id'] = '';
    }
    if (name === 'ports') {
      for (const address of this.things.floatingips)
        if (address['port_id'] === thing.id) address['port_id'] = null;
    }
    return {status: 204};
  }

  #portOf(server: Thing): Thing | undefined {
    return this.things.ports.find(port => JSON.stringify(server['networks']).includes(port.id));
  }
}

const absolute = {
  maxTotalInstances: -1,
  totalInstancesUsed: 0,
  maxTotalCores: -1,
  totalCoresUsed: 0,
  maxTotalRAMSize: -1,
  totalRAMUsed: 0,
};

function notFound(name: Collection): Reply {
  const kind = collections[name] === 'security_group' ? 'SecurityGroupNotFound' : 'NotFound';
  const json =
    name === 'servers' ? {itemNotFound: {message: kind}} : {NeutronError: {type: kind, message: kind}};
  return {status: 404, json};
}

function isCollection(name: string): name is Collection {
  return name in collections;
}

function bodyOf(seen: Seen): Record<string, unknown> {
  const body: unknown = seen.body === '' ? {} : JSON.parse(seen.body);
  return typeof body === 'object' && body !== null ? {...body} : {};
}
