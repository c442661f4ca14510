import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {checkRecipeFolder, loadRecipe} from '../../../image-build/recipe/load.ts';
import {badKinds, writeBadRecipe} from '../../../infra/quickstart/bad-recipe.ts';

const own = join(import.meta.dirname, '../../../image-build/recipe.yaml');

for (const kind of badKinds) {
  test(`the ${kind} recipe is Hawser's own but for one thing`, async t => {
    const folder = await mkdtemp(join(tmpdir(), 'hawser-bad-recipe-'));
    t.teardown(() => rm(folder, {recursive: true, force: true}));
    const path = await writeBadRecipe(kind, folder);
    const [bad, good] = [await loadRecipe(path), await loadRecipe(own)];
    await checkRecipeFolder(bad, dirname(path));
    const {build, provision} = bad;
    if (kind === 'unhealthy') {
      const broken = provision.steps.at(-1);
      t.deepEqual(broken, {type: 'files', source: 'broken', destination: '/'});
      t.deepEqual({...bad, provision: {...provision, steps: provision.steps.slice(0, -1)}}, good);
      t.deepEqual(await readdir(join(dirname(path), 'broken/usr/lib/systemd/system/docker.service.d')), [
        '90-runtime.conf',
      ]);
    } else {
      t.deepEqual([...build.initrdModules, 'erofs'].toSorted(), good.build.initrdModules.toSorted());
      t.deepEqual(
        {...bad, build: {...build, initrdModules: []}},
        {...good, build: {...good.build, initrdModules: []}},
      );
    }
  });
}
