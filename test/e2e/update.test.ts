/** The one VM chain of updates: see test/vm/update/chain.ts. */
import {realpath} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {currentImage} from '../../services/common/paths.ts';
import {testHome} from '../support/cli.ts';
import {runCase} from '../vm/first-boot/lab.ts';
import {chainHome, publishReleases, runChain} from '../vm/update/chain.ts';
import {buildVersion} from '../vm/update/releases.ts';

const limitSeconds = 100 * 60;

test('a machine updates itself, proves it, leaves an unhealthy release, and does not try it again', async t => {
  t.timeout((limitSeconds + 1800) * 1000);
  const home = testHome();
  const first = await realpath(currentImage({home, cache: ''}));
  const keys = join(home, 'keys');
  const versions = ['0.1.1', '0.1.2'] as const;
  const [good, bad] = versions;
  const build = async (version: string) => ({
    version,
    image: await buildVersion(join(chainHome(home), version), keys, version),
  });
  const images = {first, good: await build(good), bad: await build(bad)};
  const result = await runCase(
    {
      name: 'update',
      title: 'update',
      limitSeconds,
      run: async lab => runChain(lab, images, await publishReleases(lab.folder, images)),
    },
    {image: first, logs: undefined, print: line => t.log(line)},
  );
  t.log(`${result.cpuSeconds.toFixed(0)} CPU seconds, ${result.wallSeconds.toFixed(0)} s`);
  t.is(result.failure, undefined);
});
