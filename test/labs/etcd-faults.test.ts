/** The campaign's checker finds what it must find, and a short run of the campaign finds nothing. */
import {getuid} from 'node:process';
import test from 'ava';
import {check} from '../../infra/labs/etcd-faults/checker.ts';
import type {History, MachineRecord, Write} from '../../infra/labs/etcd-faults/history.ts';
import {runCampaign} from '../../infra/labs/etcd-faults/campaign.ts';

const holder = (machine: string, slot: number, fence?: string) => ({
  machine,
  slot,
  ...(fence === undefined ? {} : {fence}),
});
const write = (revision: number, ...holders: Write['holders']): Write => ({
  revision: String(revision),
  holders,
});
let time = 0;
/** Each is `MACHINE KIND` or `MACHINE KIND FENCE`. */
const did = (...words: readonly string[]): MachineRecord[] =>
  words.map(word => {
    const [machine = '', kind = '', fence] = word.split(' ');
    time += 10;
    return {at: time, machine, kind: kind as MachineRecord['kind'], ...(fence === undefined ? {} : {fence})};
  });
const turn = (machine: string, fence: string): MachineRecord[] =>
  did(
    `${machine} granted ${fence}`,
    `${machine} away ${fence}`,
    `${machine} back`,
    `${machine} release-sent ${fence}`,
    `${machine} released ${fence}`,
  );

const sound: History = {
  slots: 1,
  writes: [
    write(5, holder('a', 1)),
    write(6, holder('a', 1, '5')),
    write(7),
    write(9, holder('b', 1)),
    write(11),
  ],
  records: [...turn('a', '5'), ...turn('b', '9')],
};

test('a sound history has no violation', t => {
  const {violations, figures} = check(sound);
  t.deepEqual(violations, []);
  t.like(figures, {grants: 2, releases: 2, mostAway: 1});
});

const planted: Readonly<Record<string, readonly [Partial<History>, RegExp]>> = {
  'more holders than slots': [
    {writes: [write(5, holder('a', 1)), write(6, holder('a', 1, '5'), holder('b', 2)), write(7)]},
    /revision 6: 2 holders of 1 slots/,
  ],
  'two holders of one slot': [
    {slots: 2, writes: [write(5, holder('a', 1)), write(9, holder('a', 1, '5'), holder('b', 1)), write(11)]},
    /revision 9: two holders of one slot/,
  ],
  'one machine in two slots': [
    {slots: 2, writes: [write(5, holder('a', 1), holder('a', 2)), write(9, holder('b', 1)), write(11)]},
    /a machine holds two slots/,
  ],
  'a fence that is not of its grant': [
    {writes: [write(5, holder('a', 1, '3')), write(7), write(9, holder('b', 1)), write(11)]},
    /a has fence 3, not of this grant/,
  ],
  'revisions that go back': [
    {writes: [write(5, holder('a', 1)), write(7), write(9, holder('b', 1)), write(8)]},
    /revision 8 after 9/,
  ],
  'a grant that the store never had': [
    {records: [...turn('a', '5'), ...turn('b', '10')]},
    /b was told of fence 10, which the store never had/,
  ],
  'a grant that was forgotten': [
    {
      writes: [
        ...sound.writes.slice(0, 2),
        write(7),
        write(8, holder('a', 1)),
        write(9),
        ...sound.writes.slice(3),
      ],
      records: [...did('a granted 5'), ...turn('a', '8'), ...turn('b', '9')],
    },
    /a held fence 5 and was granted 8: the first grant was forgotten/,
  ],
  'a slot that was lost': [
    {records: [...did('a granted 5', 'a away', 'a back'), ...turn('b', '9')]},
    /revision 7: the slot of a was lost/,
  ],
  'two machines away at once': [
    {
      records: did('a granted 5', 'a away 5', 'b granted 9', 'b away 9', 'a back', 'a release-sent 5').concat(
        did('b back', 'b release-sent 9'),
      ),
    },
    /2 machines were away/,
  ],
  'away without a slot': [
    {records: [...turn('a', '5'), ...turn('b', '9'), ...did('a away')]},
    /without a slot/,
  ],
  'given back while away': [
    {
      records: [...did('a granted 5', 'a away', 'a release-sent 5', 'a back'), ...turn('b', '9')],
    },
    /a gave its slot back at \d+ while it was away/,
  ],
  'a slot held at the end': [{writes: sound.writes.slice(0, 4)}, /b holds its slot at the end/],
};
for (const [title, [over, expected]] of Object.entries(planted)) {
  test(`found: ${title}`, t => {
    const {violations} = check({...sound, ...over});
    t.true(
      violations.some(violation => expected.test(violation)),
      violations.join('\n'),
    );
  });
}

test('found: a machine that never had its turn', t => {
  const writes: Write[] = [];
  const records = did('b refused');
  for (let revision = 10; revision < 200; revision += 2) {
    writes.push(write(revision, holder('a', 1)), write(revision + 1));
    records.push(...turn('a', String(revision)));
  }
  t.deepEqual(check({slots: 1, writes, records}).violations, ['b never had its turn']);
});

const campaign = getuid?.() === 0 ? test : test.skip;
campaign('45 seconds of faults on three members of etcd and two servers: no violation', async t => {
  t.timeout(240_000);
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.log(`seed ${seed}`);
  const {verdict, history} = await runCampaign({
    seed,
    seconds: 45,
    machines: 8,
    slots: 2,
    breakCompare: false,
    signal: AbortSignal.timeout(230_000),
    log: () => undefined,
  });
  t.deepEqual(verdict.violations, []);
  t.true(history.writes.length > 10 && verdict.figures.grants > 3, 'it did something');
  t.log(verdict.figures);
});
