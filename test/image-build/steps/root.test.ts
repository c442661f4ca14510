import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import type {LockedPackage} from '../../../image-build/packages/lock.ts';
import {checkInstalled} from '../../../image-build/steps/root.ts';

function locked(name: string, version: string, architecture = 'amd64'): LockedPackage {
  return {
    name,
    version,
    architecture,
    archive: 'debian',
    path: 'pool/x.deb',
    sha256: '0'.repeat(64),
    size: 1,
  };
}
const packages = [locked('base', '1:2-3'), locked('tool', '0.5', 'all')];

const good = `Package: base
Status: install ok installed
Architecture: amd64
Version: 1:2-3

Package: tool
Status: install ok installed
Architecture: all
Version: 0.5
`;

async function check(t: ExecutionContext, status: string | undefined): Promise<ImageError | undefined> {
  const root = await mkdtemp(join(tmpdir(), 'hawser-root-'));
  t.teardown(() => rm(root, {recursive: true, force: true}));
  await mkdir(join(root, 'var/lib/dpkg'), {recursive: true});
  if (status !== undefined) await writeFile(join(root, 'var/lib/dpkg/status'), status);
  return checkInstalled(root, packages).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof ImageError) return error;
      throw error;
    },
  );
}

test('exactly the locked packages pass', async t => {
  t.is(await check(t, good), undefined);
});

const fails = test.macro({
  title: (title = '') => `${title} fails the build`,
  exec: async (t, status: string | undefined, message: RegExp) => {
    t.not(status, good);
    const error = await check(t, status);
    t.is(error?.code, 'installed-set-differs');
    t.regex(error?.message ?? '', message);
  },
});

test('another version', fails, good.replace('0.5', '0.6'), /\+tool=0\.6 all, -tool=0\.5 all/);
test(
  'another architecture',
  fails,
  good.replace('Architecture: all', 'Architecture: i386'),
  /\+tool=0\.5 i386/,
);
test('a missing package', fails, good.slice(0, good.indexOf('Package: tool')), /-tool=0\.5/);
test(
  'a package too many',
  fails,
  `${good}\nPackage: more\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n`,
  /\+more=1/,
);
test(
  'a package that is not configured',
  fails,
  good.replace('ok installed', 'ok half-configured'),
  /half-configured/,
);
test(
  'a package of which only its configuration is left',
  fails,
  `${good}\nPackage: more\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n`,
  /config-files/,
);
test('a package without a status', fails, good.replace('Status: install ok installed\n', ''), /no status/);
test('an empty status file', fails, '', /-base/);
test('an absent status file', fails, undefined, /cannot be read/);
test('a damaged status file', fails, `${good}\nthis is no field\n`, /cannot be read/);
