/** What Butane makes of a config, we make of it too. */
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {translateWithFiles} from '../../../services/provisioner/config/adapters/local-files.ts';
import {hasErrors} from '../../../services/provisioner/config/problem.ts';
import {fixture, fixtureNames, fixtures, meaning} from './support.ts';

const filesDir = fileURLToPath(new URL('files/', fixtures));

for (const name of await fixtureNames('butane', /\.yaml$/u)) {
  test(`${name} comes to the same Ignition config as with Butane`, async t => {
    const result = await translateWithFiles(await fixture(`butane/${name}`), {fileName: name, filesDir});
    t.false(hasErrors(result.report), JSON.stringify(result.report));
    const expected: unknown = JSON.parse(await fixture(`butane/${name.replace(/yaml$/u, 'ign')}`));
    t.deepEqual(meaning(result.ignition), meaning(expected));
  });
}
