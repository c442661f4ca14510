/** From "it runs" to "Docker answers" against a real sshd, the real CA and the real enrolment agent. */
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest from 'ava';
import type {ExecutionContext} from 'ava';
import {exec} from '../../services/common/exec.ts';
import {silentProgress} from '../../services/common/progress.ts';
import {systemClock} from '../../services/common/clock.ts';
import {openEnrolment} from '../../services/provisioner/enrolment/index.ts';
import {accessSteps} from '../../machine-drivers/access.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {ping} from '../../machine-drivers/docker/api.ts';
import {loadMachine} from '../../machine-drivers/machine.ts';
import type {MachineDeps} from '../../machine-drivers/machine.ts';
import {sshArguments} from '../../machine-drivers/ssh/connection.ts';
import {openJournal} from '../../machine-drivers/store/journal.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';
import {findSshd, startGuest} from './support/guest.ts';
import type {Guest} from './support/guest.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const sshd = await findSshd();
const test = sshd === undefined ? anyTest.serial.skip : anyTest.serial;

interface Bench {
  readonly guest: Guest;
  readonly deps: MachineDeps;
  readonly create: (over?: Partial<MachineDeps>) => Promise<void>;
  readonly folder: string;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const home = await temporaryFolder(t);
  const root = join(home, 'guest');
  await mkdir(root);
  const guest = await startGuest(t, root, sshd ?? '');
  const driver = fakeDriver(new FakeCloud(), {endpoint: guest.endpoint, login: guest.login});
  const plain = await stubDeps(home, [driver], {access: accessSteps});
  const deps: MachineDeps = {
    ...plain,
    runtime: {
      ...plain.runtime,
      enrolment: () => openEnrolment({home, clock: systemClock}),
      firstBoot: () =>
        Promise.resolve({
          check: () => Promise.resolve(),
          render: async wish => {
            await guest.firstBoot(wish.sshAuthorizedKeys, wish.enrolment);
            return '{}';
          },
        }),
    },
  };
  const wish = {name: 'web', driver: 'fake', settings: {}, seconds: 60, onFailure: 'keep' as const};
  return {
    guest,
    deps,
    folder: deps.store.folder('web'),
    create: over => createMachine({...deps, ...over}, wish, silentProgress),
  };
}

test('a machine is enrolled over SSH, its host key proven, and Docker answers by mutual TLS', async t => {
  const {guest, deps, create, folder} = await bench(t);
  const serving = guest.serveDocker();
  await create();
  await serving;
  const {record, ledger} = await loadMachine(deps.store, 'web');
  t.true(ledger.finished);
  t.regex(
    await readFile(join(folder, 'known_hosts'), 'utf8'),
    new RegExp(`^${record.uuid} ssh-ed25519 \\S+\n$`),
  );
  await t.throwsAsync(readFile(join(folder, 'known_hosts.unverified')), {code: 'ENOENT'});
  const commands = await guest.commands();
  t.deepEqual(
    commands.filter(command => command !== 'true'),
    ['sudo /usr/lib/hawser/hawser-enrol show', 'sudo /usr/lib/hawser/hawser-enrol accept'],
  );

  // Another machine's name is not this one's, whatever address answers.
  const {docker} = guest.endpoint;
  await ping({address: docker, uuid: record.uuid, folder}, 5000);
  const other = '00000000-0000-4000-8000-000000000000';
  await t.throwsAsync(ping({address: docker, uuid: other, folder}, 5000), {
    message: /Hostname\/IP does not match/,
  });

  // From now on another host key at the address is refused.
  await guest.changeHostKey();
  const target = {address: guest.endpoint.ssh, user: guest.login, hostKeyAlias: record.uuid, folder};
  await t.throwsAsync(
    exec([...sshArguments(target, {proven: true, batch: true}), 'true'], {timeoutMs: 20_000}),
    {
      message: /Host key verification failed|REMOTE HOST IDENTIFICATION/,
    },
  );
});

test('somebody in the middle gets no certificate and is sent nothing', async t => {
  const {guest, deps, create, folder} = await bench(t);
  // The request was made with the machine's host key; the connection ends at another one.
  const firstBoot = guest.firstBoot.bind(guest);
  const error = await t.throwsAsync(
    create({
      runtime: {
        ...deps.runtime,
        firstBoot: () =>
          Promise.resolve({
            check: () => Promise.resolve(),
            render: async wish => {
              await firstBoot(wish.sshAuthorizedKeys, wish.enrolment);
              await guest.changeHostKey();
              return '{}';
            },
          }),
      },
    }),
    {code: 'unfinished'},
  );
  t.regex(error.message, /did not end at the machine that asks/);
  t.false((await guest.commands()).some(command => command.endsWith('accept')));
  await t.throwsAsync(readFile(join(folder, 'known_hosts')), {code: 'ENOENT'});
  await t.throwsAsync(readFile(join(folder, 'grant.json')), {code: 'ENOENT'});
});

test('killed after the grant was sent but before that was written down, it goes on with the same grant', async t => {
  const {guest, create, folder} = await bench(t);
  const serving = guest.serveDocker();
  const dying = async (path: string) => {
    const journal = await openJournal(path);
    return {
      ...journal,
      append: async (entry: Parameters<typeof journal.append>[0]) => {
        if (entry.step === 'enrol' && entry.event === 'done') throw new Error('killed');
        await journal.append(entry);
      },
    };
  };
  await t.throwsAsync(create({openJournal: dying}), {message: /killed/});
  const grant = await readFile(join(folder, 'grant.json'), 'utf8');
  await create();
  await serving;
  t.is(await readFile(join(folder, 'grant.json'), 'utf8'), grant);
  const sent = (await guest.commands()).filter(command => command.endsWith('accept'));
  t.is(sent.length, 2);
  t.is((await guest.commands()).filter(command => command.endsWith('show')).length, 1);
});

if (sshd === undefined) {
  anyTest('SKIPPED: no sshd is installed, so enrolment over SSH was not tried', t => {
    t.log('install openssh-server, or name one in HAWSER_TEST_SSHD');
    t.pass();
  });
}
