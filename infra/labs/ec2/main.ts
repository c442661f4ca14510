/**
 * `node infra/labs/ec2/main.ts [--image FOLDER]`: a whole EC2 on this host, in a network namespace of its own: moto, our
 * proxy before it, and QEMU behind each instance. Publishes the image, makes a machine with the operator's command,
 * stops and starts it, removes it, and checks that nothing is left.
 */
import {rmSync} from 'node:fs';
import {mkdtemp, realpath, rm} from 'node:fs/promises';
import {homedir, tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {exec} from '../../../services/common/exec.ts';
// The lab's moto and proxy are those of the tests.
// oxlint-disable no-restricted-imports
import {findMoto, startMoto} from '../../../test/machine-drivers/support/ec2/moto.ts';
import {awsEnv, startProxy} from '../../../test/machine-drivers/support/ec2/proxy.ts';
import {runLife} from './life.ts';
import {openGuests} from './guests.ts';

const LIMIT_MS = 3_600_000;
/** Of the process outside the namespace: the one within is told to end. */
const interrupt = new AbortController();

async function main(argv: readonly string[]): Promise<number> {
  const {values} = parseArgs({
    args: [...argv],
    options: {image: {type: 'string'}, python: {type: 'string'}},
  });
  const home = process.env['HAWSER_HOME'] ?? join(homedir(), '.local/share/hawser');
  const image = await realpath(values.image ?? join(home, 'images/current'));
  if (values.python === undefined) {
    const python = await findMoto();
    if (python === undefined) throw new Error('there is no Python to run moto with: infra/setup.sh --test');
    // From here on only loopback exists: nothing can reach the real AWS, and the instances' addresses are ours.
    const self = [process.execPath, import.meta.filename, '--image', image, '--python', python];
    const {code} = await exec(['unshare', '--net', '--', ...self], {
      timeoutMs: LIMIT_MS,
      stdio: 'inherit',
      signal: interrupt.signal,
      okCodes: [0, 1],
    }).catch((error: unknown) => {
      if (!interrupt.signal.aborted) throw error;
      return {code: 130};
    });
    return code ?? 1;
  }
  await exec(['ip', 'link', 'set', 'lo', 'up'], {timeoutMs: 10_000});
  const folder = await mkdtemp(join(tmpdir(), 'hec-'));
  // Ended by a signal, the emulators and moto go with the process; so does this.
  process.once('exit', () => rmSync(folder, {recursive: true, force: true}));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  try {
    await using moto = await startMoto(values.python);
    await using proxy = await startProxy(moto.port);
    await using guests = await openGuests({
      folder,
      image,
      proxy,
      motoPort: moto.port,
      print: line => console.log(line),
    });
    const env = {
      ...awsEnv,
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      HAWSER_HOME: join(folder, 'home'),
      HAWSER_CACHE: join(folder, 'cache'),
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ENDPOINT: proxy.url,
      HAWSER_AMAZONEC2_ADDRESS_SERVICE: `${proxy.url}/my-address`,
    };
    await runLife({env, image, guests, print: line => console.log(line)});
    console.log('PASS');
    return 0;
  } catch (error) {
    console.error(error);
    console.log('FAIL');
    return 1;
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());
process.exitCode = await main(process.argv.slice(2));
