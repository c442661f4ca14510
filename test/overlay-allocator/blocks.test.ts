/** The choice of blocks: no address twice, in whatever order machines claim, give back, vanish and return. */
import test from 'ava';
import * as fc from 'fast-check';
import {contains, formatPrefix, lastOf, overlaps, parsePrefix} from '../../services/common/ipv4.ts';
import {
  chooseBlock,
  isUsable,
  single,
  takeBlock,
  type Field,
  type Held,
} from '../../services/overlay-allocator/blocks.ts';

const prefix = (text: string) => parsePrefix(text) ?? single(0);
const field = (subnet: string, held: readonly Held[] = [], reserved: readonly string[] = []): Field => ({
  subnet: prefix(subnet),
  gateway: prefix(subnet).first + 1,
  reserved: reserved.map(prefix),
  held,
});
const held = (block: string, machine: string, standing: Held['standing'] = 'held', at = 0): Held => ({
  key: `${machine}/${block}`,
  block: prefix(block),
  machine,
  standing,
  at,
});
const chosen = (from: Field, machine = 'me') => {
  const choice = chooseBlock(from, machine);
  return choice === undefined ? undefined : formatPrefix(choice.block);
};

test('a prefix is read exactly, or not at all', t => {
  t.is(formatPrefix(prefix('10.99.0.0/24')), '10.99.0.0/24');
  t.is(lastOf(prefix('10.99.0.0/24')), prefix('10.99.0.255/32').first);
  for (const bad of [
    '10.99.0.1/24',
    '10.99.0.0/33',
    '10.99.0/24',
    '10.256.0.0/16',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '',
  ])
    t.is(parsePrefix(bad), undefined, bad);
});

test('one 32nd of a network at a time, at most 64 addresses', t => {
  t.is(chosen(field('10.99.0.0/24')), '10.99.0.0/29');
  t.is(chosen(field('10.0.0.0/8')), '10.0.0.0/26');
  t.is(chosen(field('10.99.0.0/29')), '10.99.0.2/32', 'neither the network nor the gateway');
});

test('own blocks first, then those never used, then the ones given back longest ago', t => {
  const released = [
    held('10.99.0.0/29', 'other', 'released', 5),
    held('10.99.0.8/29', 'me', 'released', 9),
    held('10.99.0.16/29', 'other', 'released', 2),
  ];
  t.is(chosen(field('10.99.0.0/24', released)), '10.99.0.8/29');
  t.is(chosen(field('10.99.0.0/24', released), 'third'), '10.99.0.24/29');
  const full = Array.from({length: 29}, (_, index) => held(`10.99.0.${24 + index * 8}/29`, 'other'));
  t.is(chosen(field('10.99.0.0/24', [...released, ...full]), 'third'), '10.99.0.16/29');
});

test('smaller blocks when no whole one is left; silent machines give way last, the longest silent first', t => {
  const live = Array.from({length: 30}, (_, index) => held(`10.99.0.${index * 8}/29`, 'other'));
  const gone = [held('10.99.0.240/29', 'old', 'expired', 1), held('10.99.0.248/30', 'newer', 'expired', 2)];
  t.is(chosen(field('10.99.0.0/24', [...live, ...gone])), '10.99.0.252/30');
  const rest = held('10.99.0.252/30', 'other');
  t.is(chosen(field('10.99.0.0/24', [...live, ...gone, rest])), '10.99.0.240/29');
});

test('reservations are kept from blocks and given by address', t => {
  t.is(chosen(field('10.99.0.0/28', [], ['10.99.0.0/29', '10.99.0.8/30'])), '10.99.0.12/32');
  const taken = takeBlock(
    field('10.99.0.0/28', [], ['10.99.0.0/29']),
    'me',
    single(prefix('10.99.0.5/32').first),
  );
  t.true('block' in taken);
});

test('a network of which every address is held has none for others', t => {
  t.is(chosen(field('10.99.0.0/24', [held('10.99.0.0/24', 'other')])), undefined);
});

type Step =
  | {readonly kind: 'claim' | 'release' | 'die' | 'live'; readonly machine: number}
  | {
      readonly kind: 'address';
      readonly machine: number;
      readonly offset: number;
    };

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom(
        'claim' as const,
        'claim' as const,
        'release' as const,
        'die' as const,
        'live' as const,
      ),
      machine: fc.nat(6),
    }),
    fc.record({kind: fc.constant('address' as const), machine: fc.nat(6), offset: fc.nat(255)}),
  ),
  {maxLength: 120},
);

test('whatever happens, no two machines hold one address, and no reserved one is in a block', t => {
  fc.assert(
    fc.property(
      steps,
      fc.integer({min: 22, max: 30}),
      fc.boolean(),
      (sequence: readonly Step[], length, reserve) => {
        const subnet = prefix(`10.99.0.0/${length}`);
        const reserved = reserve ? [`10.99.0.4/31`] : [];
        let leases: Held[] = [];
        const dead = new Set<string>();
        let now = 0;
        const seen = (): Field => ({
          ...field(`10.99.0.0/${length}`, [], reserved),
          held: leases.map(each => ({
            ...each,
            standing: each.standing === 'released' ? 'released' : dead.has(each.machine) ? 'expired' : 'held',
          })),
        });
        for (const step of sequence) {
          now++;
          const machine = `m${step.machine}`;
          if (step.kind === 'die') dead.add(machine);
          else if (step.kind === 'live') dead.delete(machine);
          else if (step.kind === 'release') {
            const index = leases.findIndex(each => each.machine === machine && each.standing === 'held');
            leases = leases.map((each, at) =>
              at === index ? {...each, standing: 'released', at: now} : each,
            );
          } else {
            dead.delete(machine); // who asks is heard of
            const wanted = step.kind === 'address' ? single(subnet.first + step.offset) : undefined;
            if (wanted !== undefined && !isUsable(seen(), wanted.first)) continue;
            const choice =
              wanted === undefined ? chooseBlock(seen(), machine) : takeBlock(seen(), machine, wanted);
            if (choice === undefined || 'by' in choice) continue;
            const gone = new Set(choice.instead.map(({key}) => key));
            leases = leases.filter(({key}) => !gone.has(key));
            leases.push({key: `${now}`, block: choice.block, machine, standing: 'held', at: now});
            if (wanted === undefined && reserve) t.false(overlaps(choice.block, prefix('10.99.0.4/31')));
          }
          const holding = leases.filter(({standing}) => standing === 'held');
          for (const [index, one] of holding.entries()) {
            if (!contains(subnet, one.block.first) || !contains(subnet, lastOf(one.block))) return false;
            for (const other of holding.slice(index + 1)) if (overlaps(one.block, other.block)) return false;
          }
        }
        return true;
      },
    ),
    {numRuns: 150},
  );
  t.pass();
});
