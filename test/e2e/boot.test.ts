/** The cases of the first-boot campaign that every run of the tests repeats: what the boot must refuse, and what it must do. */
import {realpath} from 'node:fs/promises';
import test from 'ava';
import {currentImage} from '../../services/common/paths.ts';
import {testHome} from '../support/cli.ts';
import {fwCfgCase} from '../vm/first-boot/fw-cfg.ts';
import {runCase, type Case} from '../vm/first-boot/lab.ts';
import {networkCase} from '../vm/first-boot/network.ts';
import {foreignUkiCase, verityBootCase} from '../vm/first-boot/tamper.ts';

const boot = test.macro<[Case]>({
  title: (_, {title}) => title,
  exec: async (t, given) => {
    t.timeout((given.limitSeconds + 60) * 1000);
    const image = await realpath(currentImage({home: testHome(), cache: ''}));
    const result = await runCase(given, {image, logs: undefined, print: line => t.log(line)});
    t.log(`${result.cpuSeconds.toFixed(0)} CPU seconds, ${result.wallSeconds.toFixed(0)} s`);
    t.is(result.failure, undefined);
  },
});

test.serial(boot, foreignUkiCase);
test.serial(boot, verityBootCase);
test.serial(boot, fwCfgCase);
test.serial(boot, networkCase);
