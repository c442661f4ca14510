/** Every bad config of the fixtures gives exactly the problems written beside it. */
import test from 'ava';
import {fixture, fixtureNames} from './support.ts';
import {formatProblem} from '../../../services/provisioner/config/problem.ts';
import {translate} from '../../../services/provisioner/config/translate.ts';

for (const name of await fixtureNames('bad', /\.(?:yaml|ign)$/u)) {
  test(`all problems of ${name} are reported in one run, each at its place`, async t => {
    const result = translate(await fixture(`bad/${name}`), {fileName: name});
    const expected = await fixture(`bad/${name.replace(/\.\w+$/u, '')}.problems`);
    t.deepEqual(result.report.map(formatProblem), expected.trimEnd().split('\n'));
    t.is(result.ignition, undefined);
  });
}
