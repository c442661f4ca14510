import test from 'ava';
import {UsageError} from '../../services/common/command.ts';
import {exitCodeOf, renderFailure} from '../../services/cli/report.ts';

test('a failure is one line that ends with the remedy', t => {
  const error = new UsageError('bad-value', 'first\n  second', {remedy: 'do this'});
  t.deepEqual(renderFailure(error, false), ['hawser: first second: do this']);
  t.deepEqual(renderFailure('a bare string', false), ['hawser: a bare string']);
});

test('with debug, the stack and every cause follow, also in a circle of causes', t => {
  const root = new Error('root');
  const error = new UsageError('bad-value', 'top', {cause: root});
  root.cause = error;
  const lines = renderFailure(error, true);
  t.is(lines[0], 'hawser: top');
  t.is(lines.filter(line => line === 'caused by:').length, 1);
  t.true(lines.some(line => line.includes('Error: root')));
});

test('exit codes: 1, what the error carries, 130 after an interrupt', t => {
  t.is(exitCodeOf(new Error('x'), false), 1);
  t.is(exitCodeOf(new UsageError('bad-value', 'x', {context: {exitCode: 3}}), false), 3);
  t.is(exitCodeOf(new UsageError('bad-value', 'x', {context: {exitCode: 3}}), true), 130);
});
