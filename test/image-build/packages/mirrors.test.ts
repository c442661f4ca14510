import test from 'ava';
import {archiveOf, findMirrors, packageUrl} from '../../../image-build/packages/mirrors.ts';

const fallback = {
  debian: 'http://ftp.debian.org/debian',
  'debian-security': 'http://ftp.debian.org/debian-security',
};
const own = {
  debian: 'http://mirror.example/debian',
  'debian-security': 'http://mirror.example/debian-security',
};

const finds = test.macro({
  title: (title = '') => `mirror: ${title}`,
  exec: (t, texts: string | readonly string[], expected: {debian: string; 'debian-security': string}) => {
    t.deepEqual(findMirrors(typeof texts === 'string' ? [texts] : texts), expected);
  },
});

test('none without sources', finds, [], fallback);
test('one line', finds, 'deb http://mirror.example/debian trixie main\n', own);
test('a slash at the end does not count', finds, 'deb http://mirror.example/debian/ trixie main\n', own);
test('https stays https', finds, 'deb https://m.example/debian trixie main', {
  debian: 'https://m.example/debian',
  'debian-security': 'https://m.example/debian-security',
});
test(
  'options, also with blanks and several architectures',
  finds,
  'deb [ arch=i386,amd64 signed-by=/k.gpg ] http://mirror.example/debian trixie main',
  own,
);
test(
  'another architecture is not ours',
  finds,
  'deb [arch=arm64] http://mirror.example/debian trixie main',
  fallback,
);
test('a comment is no source', finds, '# deb http://mirror.example/debian trixie main', fallback);
test(
  'source packages are no source of ours',
  finds,
  'deb-src http://mirror.example/debian trixie main',
  fallback,
);
test('a comment after the line', finds, 'deb http://mirror.example/debian trixie main # ours', own);
test('main must be among the components', finds, 'deb http://mirror.example/debian trixie contrib', fallback);
test(
  'a private mirror of another release may have nothing else',
  finds,
  'deb http://mirror.example/debian bookworm main',
  fallback,
);
test(
  'the first of ours behind one of another release',
  finds,
  'deb http://old.example/debian bookworm main\ndeb http://mirror.example/debian trixie main',
  own,
);
test("Debian's own serves every release", finds, 'deb http://ftp.de.debian.org/debian bookworm main', {
  debian: 'http://ftp.de.debian.org/debian',
  'debian-security': 'http://ftp.de.debian.org/debian-security',
});
test(
  'the archive of old releases has no new one',
  finds,
  'deb http://archive.debian.org/debian buster main',
  fallback,
);
test(
  'Ubuntu is not Debian',
  finds,
  'deb http://archive.ubuntu.com/ubuntu noble main universe\ndeb http://security.ubuntu.com/ubuntu noble-security main',
  fallback,
);
test(
  "another archive's suite of the same name is not Debian",
  finds,
  'deb https://download.docker.com/linux/debian-extra trixie main',
  fallback,
);
test(
  'neither files, nor CDs, nor addresses with a password',
  finds,
  'deb file:/srv/debian trixie main\ndeb cdrom:[Debian]/ trixie main\ndeb http://user:secret@mirror.example/debian trixie main',
  fallback,
);
test(
  'security from its own line',
  finds,
  'deb http://mirror.example/debian trixie main\ndeb http://ftp.se.debian.org/debian-security trixie-security main',
  {debian: own.debian, 'debian-security': 'http://ftp.se.debian.org/debian-security'},
);

const stanza = (over: Record<string, string>) =>
  Object.entries({
    Types: 'deb',
    URIs: 'http://mirror.example/debian',
    Suites: 'trixie',
    Components: 'main',
    ...over,
  })
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
test('a stanza', finds, stanza({}), own);
test(
  'a stanza with several types, URIs and suites',
  finds,
  stanza({
    Types: 'deb deb-src',
    URIs: 'cdrom:x http://mirror.example/debian/ http://two.example/debian',
    Suites: 'trixie trixie-updates',
  }),
  own,
);
test(
  'values over several lines',
  finds,
  stanza({URIs: '\n http://mirror.example/debian', Suites: '\n trixie\n trixie-updates'}),
  own,
);
test('a disabled stanza', finds, stanza({Enabled: 'no'}), fallback);
test('a stanza enabled in words', finds, stanza({Enabled: 'yes'}), own);
test('a stanza for another architecture', finds, stanza({Architectures: 'arm64 riscv64'}), fallback);
test(
  'a stanza with a comment in its middle',
  finds,
  `Types: deb\n# was: http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n`,
  own,
);
test(
  'field names without regard to case',
  finds,
  'types: deb\nuris: http://mirror.example/debian\nsuites: trixie\ncomponents: main\n',
  own,
);
test(
  'the second stanza, when the first is disabled',
  finds,
  `${stanza({URIs: 'http://off.example/debian', Enabled: 'false'})}\n${stanza({})}`,
  own,
);
test('a damaged file is passed over', finds, ['Types: deb\nthis is no field\n', stanza({})], own);

test('--mirror wins, with or without a slash; security is beside it under its own name', t => {
  const sources = ['deb http://mirror.example/debian trixie main'];
  for (const mirror of [
    'https://m.example/pub/debian',
    'https://m.example/pub/debian/',
    'https://m.example/pub/debian//',
  ]) {
    t.deepEqual(findMirrors(sources, mirror), {
      debian: 'https://m.example/pub/debian',
      'debian-security': 'https://m.example/pub/debian-security',
    });
  }
  const odd = findMirrors(sources, 'http://m.example/trixie');
  t.is(archiveOf(odd, `${odd.debian}/pool/a.deb`), 'debian');
  t.is(archiveOf(odd, `${odd['debian-security']}/pool/a.deb`), 'debian-security');
});

test('an address of neither archive belongs to none', t => {
  t.is(archiveOf(own, 'http://mirror.example/debian-backports/pool/a.deb'), undefined);
  t.is(archiveOf(own, 'http://elsewhere.example/debian/pool/a.deb'), undefined);
});

test('package addresses are encoded', t => {
  const entry = {
    name: 'g++',
    version: '1',
    architecture: 'all',
    archive: 'debian',
    path: 'pool/g/g++_1:2~3.deb',
    sha256: '',
    size: 1,
  } as const;
  t.is(packageUrl(own, entry), 'http://mirror.example/debian/pool/g/g%2B%2B_1%3A2~3.deb');
});
