import test from 'ava';
import {parseOptions} from '../../../infra/quickstart/options.ts';

test('what is shown: containers, an update under load, or releases that are no good', t => {
  t.like(parseOptions([]), {machines: 3, demonstration: 'machines', once: false});
  t.like(parseOptions(['--rolling']), {demonstration: 'update'});
  t.like(parseOptions(['--bad-release', '--once']), {demonstration: 'bad-release', once: true});
});

test('wrong options name what to give', t => {
  t.throws(() => parseOptions(['--machines', '0']), {message: /give a number from 1 to 20/});
  t.throws(() => parseOptions(['--bad-release', '--machines', '2']), {message: /give --machines 3/});
  t.throws(() => parseOptions(['--bad-release', '--rolling']), {message: /give one of them/});
  t.throws(() => parseOptions(['--roll']), {message: /--roll/});
});
