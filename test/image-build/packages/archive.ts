/** A small Debian archive on loopback, signed by a throw-away key: what the resolver's tests ask. */
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {exec} from '../../../services/common/exec.ts';

const TIMEOUT_MS = 60_000;

export interface Archive {
  readonly folder: string;
  readonly url: string;
  readonly keyring: string;
  /** Writes and signs the index of all packages made so far. */
  publish(options?: {validUntil?: Date; sign?: Key}): Promise<void>;
  /** Makes a tiny package in the pool; gives its path and SHA-256. */
  addPackage(control: Readonly<Record<string, string>>): Promise<{path: string; sha256: string}>;
}

export interface Key {
  readonly home: string;
  readonly keyring: string;
}

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hawser-archive-'));
  t.teardown(() => rm(path, {recursive: true, force: true}));
  return path;
}

/** A signing key in a folder of its own. */
export async function makeKey(t: ExecutionContext): Promise<Key> {
  // gpg's agent listens on a socket in its home: the path must be short.
  const home = await mkdtemp('/tmp/hk-');
  t.teardown(async () => {
    await exec(['gpgconf', '--homedir', home, '--kill', 'all'], {timeoutMs: TIMEOUT_MS}).catch(
      () => undefined,
    );
    await rm(home, {recursive: true, force: true});
  });
  const gpg = ['gpg', '--homedir', home, '--batch', '--quiet', '--passphrase', ''];
  await exec([...gpg, '--quick-generate-key', 'archive@example.org', 'ed25519', 'sign', 'never'], {
    timeoutMs: TIMEOUT_MS,
  });
  const keyring = join(home, 'public.gpg');
  await exec([...gpg, '--output', keyring, '--export'], {timeoutMs: TIMEOUT_MS});
  return {home, keyring};
}

export async function makePackage(
  target: string,
  control: Readonly<Record<string, string>>,
): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), 'hawser-deb-'));
  try {
    const fields = {
      Architecture: 'all',
      Maintainer: 'Nobody <nobody@example.org>',
      Description: 'a test',
      ...control,
    };
    await mkdir(join(work, 'DEBIAN'));
    await writeFile(
      join(work, 'DEBIAN/control'),
      Object.entries(fields)
        .map(([name, value]) => `${name}: ${value}\n`)
        .join(''),
    );
    await mkdir(dirname(target), {recursive: true});
    await exec(['dpkg-deb', '--root-owner-group', '-Znone', '-b', work, target], {timeoutMs: TIMEOUT_MS});
    return createHash('sha256')
      .update(await readFile(target))
      .digest('hex');
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

/** Serves `debian/` with the suite `test`; nothing is published yet. */
export async function makeArchive(t: ExecutionContext, key: Key): Promise<Archive> {
  const root = await temporaryFolder(t);
  const folder = join(root, 'debian');
  const server = createServer((request, response) => {
    readFile(join(root, decodeURIComponent(request.url ?? ''))).then(
      bytes => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  const stanzas: string[] = [];
  return {
    folder,
    url: `http://127.0.0.1:${address.port}/debian`,
    keyring: key.keyring,
    addPackage: async control => {
      const {Package: name = '', Version: version = '', Architecture: architecture = 'all'} = control;
      const path = `pool/${name}_${version.replace(/^\d+:/, '')}_${architecture}.deb`;
      const sha256 = await makePackage(join(folder, path), control);
      const text = (
        await exec(['dpkg-deb', '-f', join(folder, path)], {timeoutMs: TIMEOUT_MS})
      ).stdout.trimEnd();
      const {size} = await stat(join(folder, path));
      stanzas.push(`${text}\nFilename: ${path}\nSize: ${size}\nSHA256: ${sha256}\n`);
      return {path, sha256};
    },
    publish: async ({validUntil, sign = key} = {}) => {
      const dists = join(folder, 'dists/test');
      await mkdir(join(dists, 'main/binary-amd64'), {recursive: true});
      const index = Buffer.from(stanzas.join('\n'));
      await writeFile(join(dists, 'main/binary-amd64/Packages'), index);
      const digest = createHash('sha256').update(index).digest('hex');
      const release = [
        'Origin: Test',
        'Label: Test',
        'Suite: test',
        'Codename: test',
        'Architectures: amd64',
        'Components: main',
        `Date: ${new Date(Date.now() - 3_600_000).toUTCString()}`,
        ...(validUntil === undefined ? [] : [`Valid-Until: ${validUntil.toUTCString()}`]),
        'SHA256:',
        ` ${digest} ${index.length} main/binary-amd64/Packages`,
        '',
      ].join('\n');
      await rm(join(dists, 'InRelease'), {force: true});
      await exec(
        [
          'gpg',
          '--homedir',
          sign.home,
          '--batch',
          '--quiet',
          '--digest-algo',
          'SHA512',
          '--output',
          join(dists, 'InRelease'),
          '--clearsign',
        ],
        {timeoutMs: TIMEOUT_MS, input: release},
      );
    },
  };
}
