import test from 'ava';
import {countTests} from '../../infra/ci/counts.ts';

test('a run that passed is counted by its closing line', t => {
  t.deepEqual(countTests('  ✔ one\n  ✔ two\n  ─\n\n  12 tests passed\n  1 test skipped\n'), {
    passed: 12,
    failed: 0,
    skipped: 1,
  });
});

test('a run with failures names only those: what passed is counted by its marks', t => {
  t.deepEqual(countTests('  ✔ one\n  ✘ [fail]: two\n  ─\n\n  1 test failed\n'), {
    passed: 1,
    failed: 1,
    skipped: 0,
  });
});

test('uncaught errors are failures', t => {
  t.deepEqual(countTests('\n  1 uncaught exception\n  2 unhandled rejections\n'), {
    passed: 0,
    failed: 3,
    skipped: 0,
  });
});
