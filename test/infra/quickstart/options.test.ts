import test from 'ava';
import {parseOptions} from '../../../infra/quickstart/options.ts';

test('the update is part of it, unless it is not wanted or two machines would not remain', t => {
  t.like(parseOptions([]), {machines: 3, demonstration: 'update', once: false});
  t.like(parseOptions(['--no-update']), {demonstration: 'machines'});
  t.like(parseOptions(['--machines', '2']), {demonstration: 'machines'});
  t.like(parseOptions(['--bad-release', '--once']), {demonstration: 'bad-release', once: true});
});

test('wrong options name what to give', t => {
  t.throws(() => parseOptions(['--machines', '0']), {message: /give a number from 1 to 20/});
  t.throws(() => parseOptions(['--bad-release', '--machines', '2']), {message: /give --machines 3/});
  t.throws(() => parseOptions(['--bad-release', '--no-update']), {message: /give one of them/});
  t.throws(() => parseOptions(['--rolling']), {message: /--rolling/});
});
