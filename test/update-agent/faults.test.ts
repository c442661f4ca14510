/**
 * Faults that a machine meets, one after another, by the program of the image on a played host: each is a clear state, the
 * old release keeps running, and when the fault is gone the update goes on.
 */
import {cp, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ReleaseManifest} from '../../services/common/contracts/release.ts';
import {parseJson} from '../../services/common/parse.ts';
import {readIndex} from '../../services/common/payload/index-format.ts';
import {makeRepository} from '../vm/update/releases.ts';
import {playHost, type AgentOptions, type PlayedHost} from './played-host.ts';

const asRoot = process.getuid?.() === 0;
const undo: (() => Promise<unknown>)[] = [];
/** Called when a file of the repository is asked for. */
const asked = {hook: (_path: string): void => undefined};
let host: PlayedHost;

test.before(async t => {
  t.timeout(240_000);
  if (!asRoot) return;
  host = await playHost({
    log: line => t.log(line),
    after: work => void undo.push(work),
    onRepository: path => asked.hook(path),
  });
});
test.after.always(async () => {
  for (const work of undo.toReversed()) await work();
});

interface Fault {
  /** What brings it about; returns what ends it. */
  readonly begin?: () => Promise<() => Promise<unknown>>;
  /** What of it lies in the namespace of the run. */
  readonly options?: AgentOptions;
  /** In `hawserctl status` after the run. */
  readonly status: RegExp;
  /** In the journal of the run. */
  readonly said?: RegExp;
  /** Before the fault begins, the release is staged already. */
  readonly staged?: boolean;
}

function survives(title: string, fault: Fault): void {
  test.serial(title, async t => {
    t.timeout(120_000);
    if (!asRoot) {
      t.log('SKIPPED: a mount namespace needs root');
      t.pass();
      return;
    }
    await host.reset();
    if (fault.staged === true) {
      host.server.wanted = {action: 'stage', version: '1.1.0'};
      await host.agent('run');
      t.regex((await host.agent('status')).stdout, /staged {4}1\.1\.0/);
    }
    const end = await fault.begin?.();
    try {
      host.server.wanted = {action: 'apply', version: '1.1.0'};
      const {stderr} = await host.agent('run', fault.options);
      if (fault.said !== undefined) t.regex(stderr, fault.said);
      await keepsRunning(t, fault.status);
    } finally {
      await end?.();
    }
    await host.agent('run');
    t.deepEqual(
      await host.entries(),
      ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi'],
      'without the fault it goes on',
    );
    t.deepEqual(await host.calls(), ['hook drain', 'systemctl reboot --no-wall --no-block']);
    const slot = await readFile(join(host.root, 'disk/vda4'));
    t.true(slot.subarray(0, host.usr('1.1.0').length).equals(host.usr('1.1.0')));
  });
}

/** The old release is whole and in service, nothing of the new one boots, no lock is held. */
async function keepsRunning(t: ExecutionContext, status: RegExp): Promise<void> {
  const {stdout} = await host.agent('status');
  t.regex(stdout, /version {3}1\.0\.0 \(slot a\)/);
  t.regex(stdout, status);
  t.notRegex(stdout, /drained|lock {6}held/);
  const entries = (await host.entries()).filter(name => name.endsWith('.efi'));
  t.deepEqual(entries, ['hawser_1.0.0.efi']);
  t.false((await host.calls()).some(call => call.includes('reboot')));
  const usr = host.usr('1.0.0');
  t.true((await readFile(join(host.root, 'disk/vda2'))).subarray(0, usr.length).equals(usr));
  t.true(
    (await readFile(host.image('1.0.0').uki)).equals(
      await readFile(join(host.root, 'boot/EFI/Linux/hawser_1.0.0.efi')),
    ),
  );
}

/** Flips a byte; up to `end`, one in 64, where it is not known which of them the machine lacks. Returns what undoes it. */
async function flip(path: string, offset: number, end = offset + 1): Promise<() => Promise<void>> {
  const before = await readFile(path);
  const flipped = Buffer.from(before);
  for (let at = offset; at < end; at += 64) flipped[at] = (flipped[at] ?? 0) ^ 0x10;
  await writeFile(path, flipped);
  return () => writeFile(path, before);
}

/** The file of the repository whose name ends so. */
async function repositoryFile(ending: string): Promise<string> {
  const names = await readdir(host.repository, {recursive: true});
  const name = names.find(one => one.endsWith(ending));
  if (name === undefined) throw new Error(`the repository has no ${ending}: ${names.join(', ')}`);
  return join(host.repository, name);
}

async function payload() {
  const path = await repositoryFile('1.1.0.json');
  const manifest = parseJson(ReleaseManifest, await readFile(path, 'utf8'), path);
  const index = join(host.repository, manifest.payload.path);
  const {head} = readIndex(await readFile(index));
  return {manifest: path, index, head, store: join(host.repository, head.store.path)};
}

// A payload with a flipped byte, layer by layer.
const damaged = /phase {5}fetching\nwaits for a payload without damage: /;
survives('a flipped byte in the index', {
  begin: async () => flip((await payload()).index, 100),
  status: damaged,
});
survives('a flipped byte in the hashes of the blocks', {
  begin: async () => {
    const {store, head} = await payload();
    return flip(store, head.leaves.offset, head.leaves.offset + head.leaves.size);
  },
  status: damaged,
});
survives('a flipped byte in the blocks', {
  begin: async () => {
    const {store, head} = await payload();
    const from = head.generations.at(-1)?.offset ?? 0;
    const parts = [head.leaves, head.uki.small, ...head.generations.map(({table}) => table)];
    const behind = parts.map(({offset}) => offset).filter(offset => offset > from);
    return flip(store, from, Math.min(...behind, (await stat(store)).size));
  },
  status: damaged,
});
survives('a flipped byte in the kernel image', {
  begin: async () => {
    const {store, head} = await payload();
    return flip(store, head.uki.small.offset + 30);
  },
  status: damaged,
});

// Metadata.
const untrusted = /waits for metadata that can be trusted: /;
survives('a flipped byte in the metadata', {
  begin: async () => flip(await repositoryFile('timestamp.json'), 150),
  status: untrusted,
});
survives('a flipped byte in the manifest of the release', {
  begin: async () => flip((await payload()).manifest, 40),
  status: untrusted,
});
survives('metadata of other keys', {
  begin: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hawser-foreign-'));
    const foreign = await makeRepository(folder, AbortSignal.timeout(60_000));
    const path = await repositoryFile('timestamp.json');
    const before = await readFile(path);
    await cp(join(foreign.folder, path.slice(host.repository.length)), path);
    return async () => {
      await rm(folder, {recursive: true});
      await writeFile(path, before);
    };
  },
  status: /waits for metadata that can be trusted: .*sign/,
});
const month = 30 * 24 * 3600;
survives('metadata that has expired', {
  options: {prelude: shifted(month)},
  status: /waits for metadata that can be trusted: .*expired/,
});
for (const [title, files] of [
  ['a timestamp that is replayed', ['timestamp.json']],
  ['a repository that is rolled back', undefined],
] as const) {
  survives(title, {
    begin: async () => {
      // The machine has seen what is signed now; what it gets then is what was signed before.
      const folder = await mkdtemp(join(tmpdir(), 'hawser-replay-'));
      const [metadata, old, now] = [
        join(host.repository, 'metadata'),
        join(folder, 'old'),
        join(folder, 'now'),
      ];
      await cp(metadata, old, {recursive: true});
      await host.refresh();
      await cp(metadata, now, {recursive: true});
      host.server.wanted = {action: 'stage', version: '1.1.0'};
      await host.agent('run');
      for (const name of files ?? (await readdir(old))) await cp(join(old, name), join(metadata, name));
      return async () => {
        await cp(now, metadata, {recursive: true});
        await rm(folder, {recursive: true});
      };
    },
    status: /phase {5}staged\nwaits for metadata that can be trusted: /,
  });
}

// No room.
const fill = (folder: string, megabytes: string) => `
mkdir -p /run/full && mount -t tmpfs -o size=${megabytes} tmpfs /run/full
cp -a ${folder}/. /run/full/
dd if=/dev/zero of=/run/full/filler bs=4k 2>/dev/null || true
mount --bind /run/full ${folder}
`;
survives('a disk that is full', {
  options: {prelude: fill('/var/lib/hawser', '1m'), okCodes: [1]},
  said: /ENOSPC/,
  status: /phase {5}idle/,
});
survives('a disk that is full when the lock is to be asked for', {
  staged: true,
  options: {prelude: fill('/var/lib/hawser', '1m'), okCodes: [1]},
  said: /ENOSPC/,
  status: /phase {5}staged/,
});
survives('an ESP that is full', {
  options: {prelude: fill('/boot', '2m')},
  status: /waits for room in the ESP: .*bytes would be free in the ESP/,
});

// The server goes away in the middle of a payload, and comes back.
test.serial('a server that is killed in the middle of a payload, and restarted', async t => {
  t.timeout(120_000);
  if (!asRoot) {
    t.pass();
    return;
  }
  await host.reset();
  let killed = 0;
  asked.hook = path => {
    if (!path.endsWith('.blocks') || (killed += 1) > 1) return;
    void host.server.kill();
    setTimeout(() => void host.server.restart(), 1500);
  };
  host.server.wanted = {action: 'apply', version: '1.1.0'};
  await host.agent('run');
  asked.hook = () => undefined;
  t.true(killed > 1, 'asked again');
  t.deepEqual(await host.entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi']);
  t.like(await host.calls(), ['hook drain', 'systemctl reboot --no-wall --no-block']);
});
survives('a server that is not there', {
  begin: async () => {
    await host.server.kill();
    return () => host.server.restart();
  },
  status: /phase {5}idle\nwaits for the server at .* does not answer/,
});

// Clocks.
for (const hours of [-13, 13]) {
  test.serial(`a clock that is ${hours} hours off: the update goes on all the same`, async t => {
    t.timeout(120_000);
    if (!asRoot) {
      t.pass();
      return;
    }
    await host.reset();
    host.server.wanted = {action: 'apply', version: '1.1.0'};
    await host.agent('run', {prelude: shifted(hours * 3600)});
    t.deepEqual(await host.entries(), ['hawser_1.0.0.efi', 'hawser_1.1.0+3.efi']);
    const history = (await host.agent('history')).stdout;
    const day = new Date(Date.now() + hours * 3_600_000).toISOString().slice(0, 11);
    t.true(history.includes(day), 'the clock was off indeed');
  });
}

/** Lets the agent's clock go wrong by so many seconds; timers go on as they are. */
function shifted(seconds: number): string {
  const code = `const now = Date.now; const shift = ${Math.round(seconds)} * 1000;
globalThis.Date = class extends Date { constructor(...a) { a.length === 0 ? super(now() + shift) : super(...a); } static now() { return now() + shift; } };`;
  return `export NODE_OPTIONS='--import data:text/javascript,${encodeURIComponent(code)}'\n`;
}
