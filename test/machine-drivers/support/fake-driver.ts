/** A driver over a small cloud in memory whose calls, like a real one's, make a new thing each time they are made. */
import type {Driver, DriverMachine, Endpoint, Resources} from '../../../machine-drivers/driver.ts';
import {MachineError, checkFailed} from '../../../machine-drivers/errors.ts';

export interface Thing {
  readonly id: string;
  readonly kind: 'disk' | 'server';
  readonly owner: string;
  /** Of the machine. */
  readonly name: string;
  running: boolean;
}

/** Things are found again only by what they were tagged with. */
export class FakeCloud {
  readonly things: Thing[] = [];
  static readonly password = 'open sesame';
  /** What is asked for; absent in tests that are not about it. */
  locked = false;
  /** The machine for which there is no room. */
  failFor = '';
  /** Questions asked. */
  calls = 0;
  #next = 1;

  make(kind: Thing['kind'], owner: string, name: string): Thing {
    const thing = {id: `${kind}-${this.#next++}`, kind, owner, name, running: kind === 'server'};
    this.things.push(thing);
    return thing;
  }

  enter(env: Readonly<Record<string, string | undefined>>): void {
    if (!this.locked || env['FAKE_PASSWORD'] === FakeCloud.password) return;
    throw new MachineError('credentials', 'the cloud does not know FAKE_PASSWORD', {remedy: 'set it'});
  }

  find(kind: Thing['kind'], owner: string): Thing | undefined {
    return this.things.find(thing => thing.kind === kind && thing.owner === owner);
  }

  remove(owner: string): void {
    const kept = this.things.filter(thing => thing.owner !== owner);
    this.things.splice(0, this.things.length, ...kept);
  }
}

export interface FakeOptions {
  readonly endpoint?: Endpoint;
  readonly login?: string;
  /** Called before a step changes anything; throws to fail it. */
  readonly onStep?: (step: string) => void;
}

export function fakeDriver(cloud: FakeCloud, options: FakeOptions = {}): Driver {
  const endpoint = options.endpoint ?? {
    ssh: {host: '127.0.0.1', port: 1},
    docker: {host: '127.0.0.1', port: 1},
  };
  const ensureThing = (kind: Thing['kind'], machine: DriverMachine): Resources => {
    const thing = cloud.find(kind, machine.uuid) ?? cloud.make(kind, machine.uuid, machine.name);
    if (kind === 'server') thing.running = true;
    return {[kind]: thing.id};
  };
  const server = (machine: DriverMachine): Thing => {
    const found = cloud.find('server', machine.uuid);
    if (found === undefined) throw new MachineError('driver-failed', 'the server is gone');
    return found;
  };
  return {
    name: 'fake',
    summary: 'in memory',
    flags: [
      {name: 'fake-refuse', type: 'boolean', summary: 'fail the check'},
      {name: 'fake-size', type: 'integer', summary: 'how big'},
    ],
    sizeFlag: 'fake-size',
    configure: flags => {
      const size = flags.get('fake-size');
      return Promise.resolve({
        refuse: flags.get('fake-refuse') === true,
        ...(size === undefined ? {} : {size}),
      });
    },
    preCreateCheck: (settings, {env}) => {
      try {
        cloud.enter(env);
      } catch (error) {
        return Promise.reject(checkFailed('the cloud refuses us', 'set FAKE_PASSWORD', error));
      }
      const refuse =
        typeof settings === 'object' && settings !== null && 'refuse' in settings && settings.refuse === true;
      return refuse
        ? Promise.reject(checkFailed('the cloud is closed', 'come back later'))
        : Promise.resolve();
    },
    plan: () => [
      {name: 'number', title: 'number'},
      {name: 'disk', title: 'disk'},
      {name: 'server', title: 'server', volatile: true},
    ],
    ...(options.login === undefined ? {} : {login: () => options.login ?? ''}),
    ensure: async (step, machine, host) => {
      options.onStep?.(step);
      switch (step) {
        case 'number':
          return host.reserve('number', others => {
            const taken = new Set(others.map(other => other['number']));
            let number = 1;
            while (taken.has(number)) number++;
            return Promise.resolve({number});
          });
        case 'disk':
          await host.firstBoot([]);
          return ensureThing('disk', machine);
        case 'server':
          if (machine.name === cloud.failFor) throw new MachineError('quota', 'there is no room');
          return ensureThing('server', machine);
        default:
          throw new Error(`no step ${step}`);
      }
    },
    place: () => 'the cloud',
    observe: async (machines, {env}) => {
      cloud.calls++;
      cloud.enter(env);
      const seen = machines.flatMap(({uuid}) => {
        const found = cloud.find('server', uuid);
        return found === undefined
          ? []
          : [[uuid, {state: found.running ? 'Running' : 'Stopped'} as const] as const];
      });
      return new Map(seen);
    },
    start: machine => {
      server(machine).running = true;
      return Promise.resolve({});
    },
    stop: machine => {
      server(machine).running = false;
      return Promise.resolve();
    },
    kill: machine => {
      server(machine).running = false;
      return Promise.resolve();
    },
    destroy: async (machine, {env}) => {
      cloud.enter(env);
      cloud.remove(machine.uuid);
    },
    list: async (_, {env}) => {
      cloud.enter(env);
      const owners = new Map(cloud.things.map(thing => [thing.owner, thing.name]));
      return [...owners].map(([uuid, name]) => ({
        uuid,
        name,
        generation: 1,
        created: '2026-01-01T00:00:00.000Z',
        what: cloud.things
          .filter(thing => thing.owner === uuid)
          .map(thing => thing.id)
          .join(', '),
        resources: {},
      }));
    },
    endpoint: () => endpoint,
  };
}
