/** Real firmware (OVMF) with our keys: it must start what db signed and refuse everything else. About 15 CPU seconds. */
import {spawnSync} from 'node:child_process';
import {access, copyFile, mkdtemp, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {exec, ExecError} from '../../../services/common/exec.ts';
import {enrolmentFiles} from '../../../image-build/keys/key-set.ts';
import {ovmfVarsCommand} from '../../../image-build/keys/ovmf-vars.ts';
import {createKeys, type LoadedKeys} from '../../../image-build/keys/store.ts';

const CODE = '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd';
const VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const BOOT = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi';
// Alone, the stub says that it has no kernel and returns: proof enough that the firmware let it run.
const STUB = '/usr/lib/systemd/boot/efi/linuxx64.efi.stub';
const VM_LIMIT_MS = 100_000;

async function missing(programs: readonly string[]): Promise<string[]> {
  const without: string[] = [];
  for (const file of [CODE, VARS, BOOT, STUB]) await access(file).catch(() => without.push(file));
  for (const program of [
    'qemu-system-x86_64',
    'mkfs.vfat',
    'mcopy',
    'mmd',
    'sbsign',
    'openssl',
    ...programs,
  ]) {
    if (spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status !== 0) without.push(program);
  }
  return without;
}

const withFirmware = test.macro(
  async (
    t: ExecutionContext,
    programs: readonly string[],
    body: (t: ExecutionContext, folder: string, keys: LoadedKeys) => Promise<void>,
  ) => {
    t.timeout(4 * VM_LIMIT_MS);
    const without = await missing(programs);
    if (without.length > 0) {
      t.log(`SKIPPED: not installed: ${without.join(', ')}`);
      t.pass();
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), 'hawser-secure-boot-'));
    t.teardown(() => rm(folder, {recursive: true, force: true}));
    const keys = await createKeys({
      folder: join(folder, 'keys'),
      owner: crypto.randomUUID(),
      now: new Date(),
    });
    await body(t, folder, keys);
  },
);

test.serial(
  'systemd-boot enrols our keys in setup mode, and from then on the firmware enforces them',
  withFirmware,
  [],
  async (t, folder, keys) => {
    const vars = join(folder, 'vars.fd');
    await copyFile(VARS, vars);
    const esp = await fatDisk(folder, 'enrol', await readFile(BOOT), [
      ['loader/loader.conf', 'timeout 1\nsecure-boot-enroll force\n'],
      ...(await Promise.all(
        enrolmentFiles.map(async (name): Promise<[string, Uint8Array]> => [
          `loader/keys/auto/${name}`,
          await readFile(join(keys.paths.enrolment, name)),
        ]),
      )),
    ]);
    // The boot loader that enrols is not signed itself: after the reset that follows it must be refused.
    const serial = await boot(vars, [esp], /failed to load .*Access Denied/);
    t.regex(serial, /Enrolling secure boot keys/);
    t.deepEqual(await verdicts(folder, vars, keys), expected);
  },
);

test.serial(
  'a variable store that virt-fw-vars made enforces our keys from the first boot',
  withFirmware,
  ['virt-fw-vars'],
  async (t, folder, {owner, paths}) => {
    const output = join(folder, 'vars.fd');
    await exec(ovmfVarsCommand({template: VARS, output, owner, keys: paths}), {timeoutMs: 30_000});
    t.deepEqual(await verdicts(folder, output, {owner, paths}), expected);
  },
);

const expected = {tampered: 'denied', foreign: 'denied', unsigned: 'denied', ours: 'ran'};

/** Offers the firmware four disks in turn and reads from its log what became of each. */
async function verdicts(folder: string, vars: string, keys: LoadedKeys): Promise<Record<string, string>> {
  const foreign = await createKeys({
    folder: join(folder, 'foreign'),
    owner: crypto.randomUUID(),
    now: new Date(),
  });
  const ours = await signed(folder, STUB, keys);
  const tampered = Buffer.from(ours);
  tampered.writeUInt8(
    tampered.readUInt8(tampered.indexOf('.sbat') + 0x1000) ^ 1,
    tampered.indexOf('.sbat') + 0x1000,
  );
  const offers: [string, Uint8Array][] = [
    ['tampered', tampered],
    ['foreign', await signed(folder, STUB, foreign)],
    ['unsigned', await readFile(STUB)],
    ['ours', ours],
  ];
  const disks: string[] = [];
  for (const [name, program] of offers) disks.push(await fatDisk(folder, name, program, []));
  const serial = await boot(vars, disks, /No bootable option|failed to start .*Pci\(0x13,0x0\)/);
  return Object.fromEntries(
    offers.map(([name], index) => {
      const device = `Pci\\(0x${(FIRST_SLOT + index).toString(16).toUpperCase()},0x0\\)`;
      if (new RegExp(`failed to load .*${device}.*Access Denied`).test(serial)) return [name, 'denied'];
      return [name, new RegExp(`starting .*${device}`).test(serial) ? 'ran' : 'never offered'];
    }),
  );
}

async function signed(folder: string, program: string, {paths}: LoadedKeys): Promise<Buffer> {
  const output = join(folder, 'signed.efi');
  const argv = ['sbsign', '--key', paths.db.key, '--cert', paths.db.certificate, '--output', output, program];
  await exec(argv, {timeoutMs: 30_000});
  return readFile(output);
}

async function fatDisk(
  folder: string,
  name: string,
  program: Uint8Array,
  files: [string, string | Uint8Array][],
): Promise<string> {
  const disk = join(folder, `${name}.img`);
  await writeFile(disk, '');
  await truncate(disk, 4 << 20);
  await exec(['mkfs.vfat', disk], {timeoutMs: 10_000});
  const folders = ['EFI', 'EFI/BOOT', 'loader', 'loader/keys', 'loader/keys/auto'].map(path => `::/${path}`);
  await exec(['mmd', '-i', disk, ...folders], {timeoutMs: 10_000});
  for (const [path, content] of [['EFI/BOOT/BOOTX64.EFI', program] as const, ...files]) {
    await exec(['mcopy', '-i', disk, '-', `::/${path}`], {timeoutMs: 10_000, input: content});
  }
  return disk;
}

const FIRST_SLOT = 0x10;

/** Runs the firmware over `disks` (in this order) until a line of its log fits `end`; returns the log. */
async function boot(vars: string, disks: readonly string[], end: RegExp): Promise<string> {
  const done = new AbortController();
  const argv = [
    [
      'qemu-system-x86_64',
      '-machine',
      'q35,smm=on',
      '-accel',
      'tcg',
      '-m',
      '256',
      '-nodefaults',
      '-display',
      'none',
    ],
    ['-global', 'driver=cfi.pflash01,property=secure,value=on', '-serial', 'stdio'],
    [
      '-drive',
      `if=pflash,unit=0,format=raw,readonly=on,file=${CODE}`,
      '-drive',
      `if=pflash,unit=1,format=raw,file=${vars}`,
    ],
    ...disks.flatMap((disk, index) => [
      ['-drive', `if=none,id=disk${index},format=raw,file=${disk}`],
      [
        '-device',
        `virtio-blk-pci,drive=disk${index},addr=0x${(FIRST_SLOT + index).toString(16)},bootindex=${index}`,
      ],
    ]),
  ].flat();
  try {
    const onLine = (line: string) => {
      if (end.test(line)) done.abort();
    };
    return (await exec(argv, {timeoutMs: VM_LIMIT_MS, signal: done.signal, onLine})).stdout;
  } catch (error) {
    if (error instanceof ExecError && error.code === 'aborted') return error.result.stdout;
    throw error;
  }
}
