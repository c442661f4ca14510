import test from 'ava';
import {zstdCompressSync} from 'node:zlib';
import {
  archivePacking,
  mostArchiveBytes,
  writeRecipe,
  type Recipe,
} from '../../../services/common/payload/recipe.ts';
import {makePiece} from '../../../services/update-agent/payload/make-piece.ts';
import type {SlotDevice} from '../../../services/update-agent/payload/slot-device.ts';
import {unpack} from '../../../services/update-agent/payload/zstd.ts';

const slot: SlotDevice = {
  read: async (into, position) => {
    into.fill(position % 251);
  },
  write: async () => undefined,
  sync: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

const good: Recipe = {
  ...archivePacking,
  size: 5000,
  parts: [
    {kind: 'literal', bytes: new Uint8Array(1000).fill(7)},
    {kind: 'usr', offset: 8192, size: 4000},
  ],
};

const make = (recipe: Recipe) => makePiece(slot, zstdCompressSync(writeRecipe(recipe)));

test('an archive is made of what the recipe holds and of what /usr holds', async t => {
  const made = await make(good);
  const expected = Buffer.concat([Buffer.alloc(1000, 7), Buffer.alloc(4000, 8192 % 251)]);
  t.deepEqual(Buffer.from(unpack(made ?? new Uint8Array(), 5000, {})), expected);
});

const hostile: Readonly<Record<string, Recipe>> = {
  'a level that takes hundreds of megabytes': {...good, level: 22},
  'a window of 2 GiB': {...good, windowLog: 31},
  'a window that zstd does not know': {...good, windowLog: 9},
  'a level that is none': {...good, level: 0},
  'more bytes than an archive has': {...good, size: mostArchiveBytes + 1},
  'parts that are longer than they should be': {...good, size: 4999},
  'parts that are shorter than they should be': {...good, size: 5001},
};

for (const [title, recipe] of Object.entries(hostile)) {
  test(`makes nothing of ${title}`, async t => {
    t.is(await make(recipe), undefined);
  });
}

test('makes nothing of bytes that are no recipe', async t => {
  t.is(await makePiece(slot, new Uint8Array(100)), undefined);
  t.is(await makePiece(slot, zstdCompressSync(new Uint8Array([12, 20, 255]))), undefined);
});
