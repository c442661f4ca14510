/** Drivers outside the tree: the shipped example as a user has it, and executables that do not keep to the protocol. */
import {chmod, cp, mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import anyTest from 'ava';
import {findExternalDrivers} from '../../machine-drivers/drivers/external/find.ts';
import {describeDriver, externalDriver} from '../../machine-drivers/drivers/external/index.ts';
import {exec} from '../../services/common/exec.ts';
import {environmentOf, launcher} from '../support/cli.ts';
import {conformance} from './conformance.ts';
import {addresses, startLoopbackHost, whyNoLoopbackHost} from './support/loopback-host.ts';
import {temporaryFolder} from './support/runtime.ts';

const example = fileURLToPath(new URL('../../machine-drivers/examples/hawser-driver-pool', import.meta.url));
const missing = await whyNoLoopbackHost();
/** What the example's first line asks for: the tests' own Node. */
const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

if (missing === undefined) {
  conformance(anyTest.serial, {
    name: 'external (the pool)',
    subject: async (t, home) => {
      const host = await startLoopbackHost(t, join(home, 'host'), 'none');
      const env = {PATH, HOME: home};
      const driver = externalDriver('pool', example, await describeDriver(example, env));
      const settings = await driver.configure(
        new Map<string, string | readonly string[]>([
          ['pool-hosts', addresses.map(address => `${address}:${host.port}`)],
          ['pool-ssh-user', 'root'],
          ['pool-ssh-key', host.key],
        ]),
        {cwd: home, paths: {home, cache: home}, env},
      );
      return {
        driver,
        settings,
        env,
        fresh: 'Running',
        slow: true,
        power: false,
        vanished: 'needs-force',
        shared: ['sshPort'],
        count: async ({uuid}) => ({
          logins: (await host.authorizedKeys()).filter(line => line.includes(uuid)).length,
        }),
        vanish: () => host.stop(),
      };
    },
  });
} else {
  anyTest(`SKIPPED: ${missing}, so the example of an external driver was not tried`, t => t.pass());
}

anyTest('the first executable of a name on the PATH is the driver; other files are none', async t => {
  const home = await temporaryFolder(t);
  for (const folder of ['one', 'two']) await mkdir(join(home, folder));
  await cp(example, join(home, 'one', 'hawser-driver-pool'));
  await cp(example, join(home, 'two', 'hawser-driver-pool'));
  await writeFile(join(home, 'two', 'hawser-driver-notes'), 'not executable', {mode: 0o644});
  await writeFile(join(home, 'two', 'hawser-driver-Bad_Name'), '', {mode: 0o755});
  const found = await findExternalDrivers({PATH: `${home}/none:${home}/one:${home}/two`});
  t.deepEqual([...found], [['pool', join(home, 'one', 'hawser-driver-pool')]]);
});

anyTest('its flags are those of create, and what it refuses is said in one line', async t => {
  const home = await temporaryFolder(t);
  await cp(example, join(home, 'hawser-driver-pool'));
  const env = {...environmentOf(home), PATH: `${home}:${PATH}`};
  const run = (...words: string[]) =>
    exec([launcher, 'machine', 'create', ...words], {timeoutMs: 30_000, okCodes: [0, 1, 3], env});
  t.regex((await run('-d', 'pool', '--help')).stdout, /--pool-hosts/);
  const empty = await run('-d', 'pool', 'web');
  t.is(empty.code, 1);
  t.is(empty.stderr, 'hawser: the pool is empty: give --pool-hosts\n');
});

const breaks = anyTest.macro({
  async exec(t, script: string, pattern: RegExp) {
    const home = await temporaryFolder(t);
    const program = join(home, 'hawser-driver-broken');
    await writeFile(program, `#!/bin/sh\ncat > /dev/null\n${script}\n`);
    await chmod(program, 0o755);
    const error = await t.throwsAsync(describeDriver(program, {PATH}), {code: 'driver-failed'});
    t.regex(error?.message ?? '', pattern);
  },
  title: (name = '') => `a driver that ${name} is named in the error`,
});

anyTest('says nothing', breaks, 'exit 0', /hawser-driver-broken describe: no answer/);
anyTest('fails', breaks, 'echo no such library >&2; exit 7', /no such library/);
anyTest('does not speak JSON', breaks, 'echo "{oops"', /is not JSON/);
anyTest(
  'speaks another protocol',
  breaks,
  `echo '{"jsonrpc":"2.0","id":1,"result":{"protocol":2,"summary":"","flags":[]}}'`,
  /protocol/,
);
anyTest(
  'refuses',
  breaks,
  `echo '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"not today"}}'; exit 1`,
  /not today/,
);
