/** Names: DNS messages byte by byte, and who sees whom. */
import test from 'ava';
import * as fc from 'fast-check';
import {addressesOf} from '../../services/overlay-agent/names/lookup.ts';
import {readQuestion, TYPE_A, writeAnswer} from '../../services/overlay-agent/names/message.ts';
import {uuidOf} from '../update-server/support.ts';
import {network, stateOf} from './support/builders.ts';

function query(name: string, type = TYPE_A): Buffer {
  const labels = name
    .split('.')
    .map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.from([0xab, 0xcd, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

test('a question is read, and answered with its own id and name', t => {
  const asked = query('Web-1.db');
  t.deepEqual(readQuestion(asked), {name: 'web-1.db', type: 1});
  const answer = Buffer.from(writeAnswer(asked, 'answer', ['10.99.0.7', '10.99.0.8'], 1));
  t.is(answer.readUInt16BE(0), 0xab_cd);
  t.is(answer.readUInt16BE(2), 0x85_00, 'an authoritative answer, recursion desired repeated, no error');
  t.is(answer.readUInt16BE(6), 2);
  t.deepEqual([...answer.subarray(-4)], [10, 99, 0, 8]);
  t.is(Buffer.from(writeAnswer(asked, 'refused')).readUInt16BE(2) & 15, 5);
  t.true(
    writeAnswer(
      asked,
      'answer',
      Array.from({length: 100}, () => '10.0.0.1'),
    ).length <= 512,
  );
});

test('whatever comes, there is an answer and no more', t => {
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 600}), bytes => {
      const question = readQuestion(bytes);
      const answer = writeAnswer(bytes, question === undefined ? 'malformed' : 'answer', ['10.0.0.1']);
      return answer.length >= 12 && answer.length <= 12 + 600 + 16;
    }),
  );
  t.is(readQuestion(query('a').subarray(0, 14)), undefined);
});

test('names are found on the networks of the one who asks, with or without the name of the network', t => {
  const [web, db] = [network('10.99.0.0/24', {name: 'Web'}), network('10.98.0.0/24', {name: 'db'})];
  const state = stateOf([web, db], [], []);
  const say = (id: string, number: number, address: string, names: string[]) =>
    state.endpoints.set(`${id}/${number}`, {
      schema: 1,
      network: id,
      machine: uuidOf(number),
      endpoints: [{address, names}],
    });
  say(web.id, 1, '10.99.0.2', ['a', 'app']);
  say(web.id, 2, '10.99.0.9', ['b', 'app']);
  say(db.id, 1, '10.98.0.2', ['a']);
  const on = (...networks: string[]) => new Set(networks);
  t.deepEqual(addressesOf(state, on(web.id), 'app'), ['10.99.0.2', '10.99.0.9']);
  t.deepEqual(addressesOf(state, on(web.id), 'a.web'), ['10.99.0.2']);
  t.deepEqual(addressesOf(state, on(web.id, db.id), 'a'), ['10.99.0.2', '10.98.0.2']);
  t.is(addressesOf(state, on(db.id), 'b'), undefined);
  t.is(addressesOf(state, on(db.id), 'a.web'), undefined);
  t.is(addressesOf(state, on(), 'a'), undefined);
});
