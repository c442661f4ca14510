import test from 'ava';
import * as fc from 'fast-check';
import {EnrolmentError} from '../../../services/provisioner/enrolment/errors.ts';
import {book, judge, withIssued, type MachineRecord} from '../../../services/provisioner/enrolment/ledger.ts';

const MACHINE = '11111111-2222-3333-4444-555555555555';
const order = (generation: number, over: {name?: string; lifetimeSeconds?: number} = {}) => ({
  machine: MACHINE,
  name: 'web-1',
  generation,
  lifetimeSeconds: 60,
  ...over,
});
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof EnrolmentError ? error.code : 'other';
  }
};

test('booking a generation again changes nothing, the deadline least of all', t => {
  const first = book(undefined, order(1), 1000);
  const again = book(first.changed, order(1, {lifetimeSeconds: 9999}), 5000);
  t.deepEqual(again, {token: first.token});
  t.is(first.token.expires, 1060);
});

test('a generation that was passed, or that another name has, is not booked', t => {
  const record = book(undefined, order(2), 0).changed;
  t.is(
    codeOf(() => book(record, order(1), 0)),
    'stale-generation',
  );
  t.is(
    codeOf(() => book(record, order(2, {name: 'db-1'}), 0)),
    'issued-differently',
  );
});

test('the newest generation only is worth something, and only before its deadline', t => {
  const one = book(undefined, order(1), 0).changed;
  const two = book(one, order(2), 0).changed;
  const who = {publicKey: 'k', sshHostKey: 'h'};
  t.is(judge(one, {generation: 1}, who, 59).kind, 'sign');
  t.is(
    codeOf(() => judge(one, {generation: 1}, who, 60)),
    'token-expired',
  );
  t.is(
    codeOf(() => judge(two, {generation: 1}, who, 0)),
    'token-expired',
  );
  t.is(
    codeOf(() => judge(one, {generation: 2}, who, 0)),
    'unknown-machine',
  );
  t.is(
    codeOf(() => judge(undefined, {generation: 1}, who, 0)),
    'unknown-machine',
  );
});

// What can happen to one machine's record, in any order.
const event = fc.oneof(
  fc.record({
    kind: fc.constant('book' as const),
    generation: fc.integer({min: 1, max: 4}),
    lifetimeSeconds: fc.integer({min: 1, max: 50}),
  }),
  fc.record({
    kind: fc.constant('ask' as const),
    generation: fc.integer({min: 1, max: 4}),
    publicKey: fc.constantFrom('k1', 'k2', 'k3'),
    sshHostKey: fc.constantFrom('h1', 'h2'),
  }),
  fc.record({kind: fc.constant('wait' as const), seconds: fc.integer({min: 1, max: 30})}),
);

test('whatever happens in whatever order, a token buys one certificate for one key and host key', t => {
  fc.assert(
    fc.property(fc.array(event, {maxLength: 40}), events => {
      let record: MachineRecord | undefined;
      let now = 0;
      let serial = 0;
      const bought = new Map<number, string>();
      for (const each of events) {
        if (each.kind === 'wait') now += each.seconds;
        else if (each.kind === 'book') {
          try {
            record = book(record, order(each.generation, each), now).changed ?? record;
          } catch {
            t.true((record?.tokens.at(-1)?.generation ?? 0) > each.generation);
          }
        } else {
          const code = codeOf(() => {
            const verdict = judge(record, each, each, now);
            const token = record?.tokens.find(one => one.generation === each.generation);
            t.is(token, record?.tokens.at(-1));
            let certificate: string;
            if (verdict.kind === 'again') ({certificate} = verdict);
            else {
              certificate = `certificate ${(serial += 1)}`;
              t.true(now < (token?.expires ?? 0));
              if (record !== undefined) {
                const issued = {publicKey: each.publicKey, sshHostKey: each.sshHostKey, certificate, at: now};
                record = withIssued(record, each.generation, issued);
              }
            }
            const what = `${each.publicKey} ${each.sshHostKey} ${certificate}`;
            t.is(bought.get(each.generation) ?? what, what);
            bought.set(each.generation, what);
          });
          t.not(code, 'other');
        }
      }
    }),
    {numRuns: 300},
  );
});
