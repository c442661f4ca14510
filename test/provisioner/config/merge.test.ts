import test from 'ava';
import * as fc from 'fast-check';
import {Type} from 'typebox';
import {parseJson} from '../../../services/common/parse.ts';
import {
  emptyConfig,
  mergeConfigs,
  type IgnitionConfig,
} from '../../../services/provisioner/config/ignition.ts';
import {IgnitionConfig as IgnitionSchema} from '../../../services/provisioner/config/ignition-schema.ts';
import {baseConfig} from './arbitraries.ts';
import {fixture, meaning} from './support.ts';
import {translate} from '../../../services/provisioner/config/translate.ts';

const Case = Type.Object({
  title: Type.String(),
  parent: IgnitionSchema,
  child: IgnitionSchema,
  merged: IgnitionSchema,
});

for (const {title, parent, child, merged} of parseJson(
  Type.Array(Case),
  await fixture('merge.json'),
  'merge.json',
)) {
  test(`as in Ignition's own merge, ${title}`, t => {
    t.deepEqual(meaning(mergeConfigs(parent, child)), meaning(merged));
  });
}

const config = baseConfig.map((base): IgnitionConfig => {
  const result = translate(JSON.stringify({variant: 'flatcar', version: '1.0.0', ...base}), {fileName: 'x'});
  if (result.ignition === undefined) throw new Error(JSON.stringify(result.report));
  return result.ignition;
});

test('merging with an empty config, on either side, changes nothing', t => {
  fc.assert(
    fc.property(config, one => {
      t.deepEqual(meaning(mergeConfigs(emptyConfig(), one)), meaning(one));
      t.deepEqual(meaning(mergeConfigs(one, emptyConfig())), meaning(one));
    }),
    {numRuns: 40},
  );
});

test('merging never changes the configs that it is given', t => {
  fc.assert(
    fc.property(config, config, (parent, child) => {
      const before = JSON.stringify([parent, child]);
      mergeConfigs(parent, child);
      t.is(JSON.stringify([parent, child]), before);
    }),
    {numRuns: 40},
  );
});
