/** A driver over a small cloud in memory whose calls, like a real one's, make a new thing each time they are made. */
import type {Driver, DriverMachine, Endpoint, Resources} from '../../../machine-drivers/driver.ts';
import {MachineError, checkFailed} from '../../../machine-drivers/errors.ts';

export interface Thing {
  readonly id: string;
  readonly kind: 'disk' | 'server';
  readonly owner: string;
  running: boolean;
}

/** Things are found again only by what they were tagged with. */
export class FakeCloud {
  readonly things: Thing[] = [];
  #next = 1;

  make(kind: Thing['kind'], owner: string): Thing {
    const thing = {id: `${kind}-${this.#next++}`, kind, owner, running: kind === 'server'};
    this.things.push(thing);
    return thing;
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
    const thing = cloud.find(kind, machine.uuid) ?? cloud.make(kind, machine.uuid);
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
    flags: [{name: 'fake-refuse', type: 'boolean', summary: 'fail the check'}],
    configure: flags => Promise.resolve({refuse: flags.get('fake-refuse') === true}),
    preCreateCheck: settings => {
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
          return ensureThing('server', machine);
        default:
          throw new Error(`no step ${step}`);
      }
    },
    observe: machine => {
      const found = cloud.find('server', machine.uuid);
      if (found === undefined) return Promise.resolve('None');
      return Promise.resolve(found.running ? 'Running' : 'Stopped');
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
    destroy: machine => {
      cloud.remove(machine.uuid);
      return Promise.resolve();
    },
    endpoint: () => endpoint,
  };
}
