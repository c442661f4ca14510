/**
 * Hawser's own image published to Glance and booted by Nova, until its console says that it is up. Needs the lab with
 * OSVIRT=qemu and the folder of a built image in HAWSER_OPENSTACK_GUEST.
 */
import {setTimeout as delay} from 'node:timers/promises';
import anyTest from 'ava';
import {consoleOutput} from '../../machine-drivers/drivers/openstack/client/compute.ts';
import {temporaryFolder} from '../machine-drivers/support/runtime.ts';
import {firstServer, lastLine} from './support/bench.ts';
import {operatorOf} from './support/command.ts';
import {enterLab, findLab, inventory, nothing, removeImages} from './support/lab.ts';

const lab = await findLab();
const image = process.env['HAWSER_OPENSTACK_GUEST'];
const test = lab === undefined || image === undefined ? anyTest.serial.skip : anyTest.serial;

/** Software emulation beside other work: minutes. */
const UP_MS = 1_200_000;

test('the real image boots by UEFI from Glance, finds its configuration and comes up', async t => {
  const operator = await operatorOf(await temporaryFolder(t), lab ?? '');
  const session = await enterLab(t);
  t.teardown(async () => {
    await operator.run(['machine', 'rm', '-y', 'real']);
    await removeImages(session);
  });
  const published = Date.now();
  await operator.must(['image', 'publish', '--to', 'openstack', image ?? '']);
  const began = Date.now();
  // The lab's guests have no network: nobody answers there, and creation ends with the platform's part.
  const nowhere = ['--openstack-ssh-address', '127.0.0.1:1', '--timeout', '1'];
  const flavor = ['--openstack-flavor-name', 'm1.small'];
  const created = await operator.run(['machine', 'create', 'real', ...flavor, ...nowhere]);
  t.regex(lastLine(created.stderr), /not finished/);
  const active = Date.now();
  const id = await firstServer(session);
  let said = '';
  while (!said.includes('HAWSER-HEALTHY') && Date.now() - began < UP_MS) {
    await delay(2000);
    said = await consoleOutput(session, id, 400);
  }
  t.true(said.includes('HAWSER-HEALTHY'), said.slice(-4000));
  const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(0);
  t.log(
    `published in ${seconds(published, began)} s, create to ACTIVE ${seconds(began, active)} s, to healthy ${seconds(began, Date.now())} s`,
  );
  t.is((await operator.run(['machine', 'rm', '-y', 'real'])).code, 0);
  t.deepEqual(await inventory(session), nothing);
});
