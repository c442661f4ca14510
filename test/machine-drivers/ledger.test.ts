import {appendFile, readFile, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {silentProgress} from '../../services/common/progress.ts';
import {createMachine} from '../../machine-drivers/create.ts';
import {removeMachine} from '../../machine-drivers/lifecycle.ts';
import {foldLedger, parseLedger} from '../../machine-drivers/store/ledger.ts';
import type {LedgerEntry} from '../../machine-drivers/store/ledger.ts';
import {openJournal, recordStep} from '../../machine-drivers/store/journal.ts';
import {systemClock} from '../../services/common/clock.ts';
import {FakeCloud, fakeDriver} from './support/fake-driver.ts';
import {stubDeps, temporaryFolder} from './support/runtime.ts';

const entry = fc.record({
  at: fc.constant('2026-01-01T00:00:00.000Z'),
  step: fc.constantFrom('key', 'disk', 'boot', 'ready'),
  event: fc.constantFrom('intent' as const, 'done' as const),
  resources: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()), {maxKeys: 3}),
});

function toText(entries: readonly LedgerEntry[]): string {
  return entries.map(item => `${JSON.stringify(item)}\n`).join('');
}

test('cut off at any byte, a ledger still tells every whole line', t => {
  fc.assert(
    fc.property(fc.array(entry, {maxLength: 6}), fc.nat(), (entries, cut) => {
      const bytes = Buffer.from(toText(entries));
      const kept = bytes.subarray(0, bytes.length === 0 ? 0 : cut % (bytes.length + 1));
      const {entries: read, wholeBytes} = parseLedger(kept.toString('utf8'), 'ledger');
      t.deepEqual(read, entries.slice(0, read.length));
      t.is(kept.subarray(0, wholeBytes).toString('utf8'), toText(entries.slice(0, read.length)));
      t.true(read.length >= entries.length - 1 || kept.length < bytes.length);
    }),
  );
});

test('a step is done only by its result, and later resources win', t => {
  const at = '2026-01-01T00:00:00.000Z';
  const state = foldLedger([
    {at, step: 'a', event: 'intent'},
    {at, step: 'b', event: 'done', resources: {port: 1, id: 'x'}},
    {at, step: 'b', event: 'done', resources: {port: 2}},
  ]);
  t.false(state.done.has('a'));
  t.true(state.intended.has('a'));
  t.deepEqual(state.resources, {port: 2, id: 'x'});
  t.false(state.finished);
});

test('damage inside a ledger is told with its line, not skipped', t => {
  const good = `{"at":"x","step":"a","event":"done"}\n`;
  const error = t.throws(() => parseLedger(`${good}{"at":1}\n${good}`, '/s/m/ledger.jsonl'));
  t.regex(error.message, /^\/s\/m\/ledger\.jsonl line 2 is not valid/);
  t.throws(() => parseLedger(`${good}garbage\n`, 'f'), {code: 'store-damaged'});
});

test('writing goes on behind the last whole line after a crash in the middle of one', async t => {
  const path = join(await temporaryFolder(t), 'ledger.jsonl');
  const first = await openJournal(path);
  await recordStep(first, systemClock, 'a', () => Promise.resolve({id: 'ä'}));
  const whole = await readFile(path);
  await appendFile(path, '{"at":"2026-01-01T00:00:00.000Z","st');
  const second = await openJournal(path);
  await recordStep(second, systemClock, 'b', () => Promise.resolve({}));
  const {entries} = parseLedger(await readFile(path, 'utf8'), path);
  t.deepEqual(
    entries.map(item => item.step),
    ['a', 'a', 'b', 'b'],
  );
  await truncate(path, whole.length - 1);
  t.deepEqual([...(await openJournal(path)).state().done], []);
});

test('an empty file is an empty ledger', async t => {
  const path = join(await temporaryFolder(t), 'ledger.jsonl');
  await writeFile(path, '');
  t.false((await openJournal(path)).state().finished);
});

class Crash extends Error {}

test('any number of deaths at any writes ends, once it is let through, with exactly one of each', async t => {
  const home = await temporaryFolder(t);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({at: fc.integer({min: 1, max: 9}), written: fc.boolean()}), {maxLength: 5}),
      async deaths => {
        const cloud = new FakeCloud();
        const deps = await stubDeps(home, [fakeDriver(cloud)]);
        const wish = {name: 'm', driver: 'fake', settings: {}, seconds: 1, onFailure: 'keep' as const};
        for (const death of deaths) {
          let writes = 0;
          const dying = async (path: string) => {
            const journal = await openJournal(path);
            return {
              ...journal,
              append: async (item: LedgerEntry) => {
                writes++;
                if (writes === death.at && !death.written) throw new Crash();
                await journal.append(item);
                if (writes === death.at) throw new Crash();
              },
            };
          };
          await createMachine({...deps, openJournal: dying}, wish, silentProgress).catch(() => undefined);
        }
        if ((await deps.store.load('m'))?.ledger.finished !== true)
          await createMachine(deps, wish, silentProgress);
        const kinds = cloud.things.map(thing => thing.kind).sort();
        await removeMachine(deps, 'm', false, {progress: silentProgress, warn: () => undefined});
        return JSON.stringify(kinds) === '["disk","server"]' && cloud.things.length === 0;
      },
    ),
    {numRuns: 40},
  );
  t.pass();
});
