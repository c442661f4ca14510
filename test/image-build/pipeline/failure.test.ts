import {writeFile} from 'node:fs/promises';
import test from 'ava';
import {ImageError} from '../../../image-build/errors.ts';
import {describeFailure, isDiskFull} from '../../../image-build/failure.ts';
import {FormatError} from '../../../services/common/formats/errors.ts';
import {exec} from '../../../services/common/exec.ts';

const place = {cache: '/c', images: '/i'};

test('a full disk is recognised in Node, in a program and behind another error', async t => {
  const inNode = await t.throwsAsync(() => writeFile('/dev/full', 'x'));
  const inProgram = await t.throwsAsync(
    exec(['dd', 'if=/dev/zero', 'of=/dev/full', 'count=1'], {timeoutMs: 10_000}),
  );
  const behind = new ImageError('step-failed', 'a step failed', {cause: inNode});
  for (const error of [inNode, inProgram, behind, new FormatError('disk-full', 'no room')]) {
    t.true(isDiskFull(error));
    const shown = describeFailure(error, place);
    t.true(shown instanceof ImageError && shown.code === 'disk-full' && shown.remedy?.includes('/c and /i'));
  }
});

test('every other error of ours stays as it is', t => {
  const error = new ImageError('hash-mismatch', 'other bytes');
  t.is(describeFailure(error, place), error);
  t.false(isDiskFull(error));
  t.false(isDiskFull('No space left on device'));
});
