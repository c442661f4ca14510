/** An operator of the lab with an image of their own, and what several tests look at. */
import {setTimeout as delay} from 'node:timers/promises';
import anyTest from 'ava';
import type {ExecutionContext} from 'ava';
import {Type} from 'typebox';
import {listAll} from '../../../machine-drivers/drivers/openstack/client/pages.ts';
import type {Session} from '../../../machine-drivers/drivers/openstack/client/session.ts';
import {temporaryFolder} from '../../machine-drivers/support/runtime.ts';
import {builtImage} from './built-image.ts';
import {operatorOf} from './command.ts';
import type {Operator} from './command.ts';
import {enterLab, findLab, removeImages, skipped} from './lab.ts';

const lab = await findLab();
if (lab === undefined) anyTest(skipped, t => t.pass());

/** One after another: they share a project. Skipped without a lab. */
export const test = lab === undefined ? anyTest.serial.skip : anyTest.serial;

/** The smallest flavor that a published image may have. */
export const size = ['--openstack-flavor-name', 'm1.tiny'];

export interface Bench {
  readonly operator: Operator;
  readonly session: Session;
}

/** An operator with an image of their own in the cloud; all of it goes with the test. */
export async function bench(t: ExecutionContext, publish = true): Promise<Bench> {
  const home = await temporaryFolder(t);
  const operator = await operatorOf(home, lab ?? '');
  const session = await enterLab(t);
  t.teardown(async () => {
    const names = (await operator.run(['machine', 'ls', '-q'])).stdout
      .split('\n')
      .filter(name => name !== '');
    if (names.length > 0) await operator.must(['machine', 'rm', '-y', ...names]);
    await removeImages(session);
  });
  await builtImage(home, '1.0.0');
  if (publish) await operator.must(['image', 'publish', '--to', 'openstack']);
  return {operator, session};
}

/** The id of the first server that the project has, once it has one. */
export async function firstServer(session: Session): Promise<string> {
  for (;;) {
    const item = Type.Object({id: Type.String()});
    const [server] = await listAll(session, {service: 'compute', path: '/servers', key: 'servers', item});
    if (server !== undefined) return server.id;
    await delay(200);
  }
}

/** Where a command says what went wrong. */
export function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}
