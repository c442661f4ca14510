import test from 'ava';
import {conformance} from './conformance.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';

conformance(test, {
  name: 'fake',
  subject: () => {
    const cloud = new FakeCloud();
    cloud.locked = true;
    const of = (kind: string, owner: string) =>
      cloud.things.filter(thing => thing.kind === kind && thing.owner === owner);
    return Promise.resolve({
      driver: fakeDriver(cloud),
      settings: {},
      fresh: 'Running',
      together: 20,
      env: {FAKE_PASSWORD: FakeCloud.password},
      secrets: [FakeCloud.password],
      wrongCredentials: {env: {FAKE_PASSWORD: 'guess'}},
      questions: () => cloud.calls,
      count: ({uuid}) => Promise.resolve({disk: of('disk', uuid).length, server: of('server', uuid).length}),
      vanish: ({uuid}) => {
        cloud.remove(uuid);
        return Promise.resolve();
      },
    });
  },
});
