/** Single values: data: URLs, modes, escaped paths, numbers. */
import test from 'ava';
import * as fc from 'fast-check';
import {modeProblem} from '../../../services/provisioner/config/modes.ts';
import {escapePath, mountUnit, unitTextProblems} from '../../../services/provisioner/config/unit-file.ts';
import {dataUrl, resourceUrlProblem} from '../../../services/provisioner/config/urls.ts';
import {dataUrlBytes, problemsOf} from './support.ts';

test('a data: URL gives back the bytes that it was made of, and is a valid URL', t => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({maxLength: 300}),
        fc.string().map(text => new TextEncoder().encode(text)),
      ),
      bytes => {
        const url = dataUrl(bytes);
        t.deepEqual(Uint8Array.from(dataUrlBytes(url)), Uint8Array.from(bytes));
        t.is(resourceUrlProblem(url), undefined);
      },
    ),
  );
});

test('a data: URL is never longer than base64', t => {
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 200}), bytes => {
      t.true(dataUrl(bytes).length <= 'data:;base64,'.length + Math.ceil(bytes.length / 3) * 4);
    }),
  );
});

// The modes that Butane 0.19.0 warns of, from 0 to 10000.
const DECIMAL_FOLDER_MODES = [
  500, 550, 555, 700, 750, 755, 770, 775, 777, 1700, 1750, 1755, 1770, 1775, 1777, 2700, 2750, 2755, 2770,
  2775, 2777, 3700, 3750, 3755, 3770, 3775, 3777,
];
const DECIMAL_FILE_MODES = [
  400, 440, 444, 500, 550, 555, 600, 640, 644, 660, 664, 666, 700, 750, 755, 770, 775, 777, 2500, 2550, 2555,
  2700, 2750, 2755, 2770, 2775, 4500, 4550, 4555, 4700, 4750, 4755, 4770, 4775, 6500, 6550, 6555, 6700, 6750,
  6755, 6770, 6775,
];
for (const [what, folder, expected] of [
  ['directories', true, DECIMAL_FOLDER_MODES],
  ['files', false, DECIMAL_FILE_MODES],
] as const) {
  test(`for ${what}, the modes taken for forgotten zeros are those that Butane warns of`, t => {
    const found = Array.from({length: 10_001}, (_, mode) => mode).filter(mode =>
      modeProblem(mode, folder, 'snake')?.message.includes('leading zero'),
    );
    t.deepEqual(found, expected);
  });
}

for (const [path, escaped] of [
  ['/', '-'],
  ['/var/lib/data', 'var-lib-data'],
  ['/var/my-data', 'var-my\\x2ddata'],
  ['/.hidden/.x', '\\x2ehidden-.x'],
  ['/srv/größe', 'srv-gr\\xc3\\xb6\\xc3\\x9fe'],
  ['/dev/disk/by-id/a b', 'dev-disk-by\\x2did-a\\x20b'],
] as const) {
  test(`the unit of ${path} is named ${escaped}, as systemd-escape does`, t => {
    t.is(escapePath(path), escaped);
  });
}

test('a mount unit waits for the network when its device does', t => {
  const unit = mountUnit({
    device: '/dev/mapper/a',
    format: 'ext4',
    path: '/srv/100%',
    options: ['ro'],
    remote: true,
  });
  t.is(unit.name, 'srv-100\\x25.mount');
  t.true(unit.contents.includes('\nWhere=/srv/100%%\n'));
  t.true(unit.contents.includes('\nOptions=ro,_netdev\n'));
  t.true(unit.contents.includes('\nRequiredBy=remote-fs.target\n'));
});

for (const [what, text, expected] of [
  [
    'comments, blank lines and continued values are fine',
    '# c\n\n[Unit]\nA=b \\\n  no assignment\n; c\nB=\n',
    [],
  ],
  [
    'a comment that Ignition takes for the end of a continued value is wrong',
    '[Unit]\nA=b \\\n# c\nmore\nB=c\n',
    [3],
  ],
  ['a key before any section is wrong', 'A=b\n[Unit]\n', [0]],
  ['text without "=" is wrong', '[Unit]\nA\n', [1]],
  ['a broken section header is wrong', '[Unit\nA=b\n', [0]],
  ['a line that Ignition would refuse is wrong', `[Unit]\nA=${'x'.repeat(2048)}\n`, [1]],
] as const) {
  test(`in unit files, ${what}`, t => {
    t.deepEqual(
      unitTextProblems(text).map(problem => problem.line),
      [...expected],
    );
  });
}

test('a bad line of a unit is reported on its own line where the YAML keeps lines, else at the value', t => {
  const head = 'variant: flatcar\nversion: 1.0.0\nsystemd:\n  units:\n    - name: a.service\n';
  t.deepEqual(problemsOf(`${head}      contents: |\n        [Unit]\n        bad\n`), [
    '8:1: error: "bad" is not an assignment (Key=value)',
  ]);
  t.deepEqual(problemsOf(`${head}      contents: "[Unit]\\nbad"\n`), [
    '6:17: error: "bad" is not an assignment (Key=value)',
  ]);
});
