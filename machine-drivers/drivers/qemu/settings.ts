/** What a qemu machine can be told, as flags and as the settings that its record keeps. */
import {stat} from 'node:fs/promises';
import {isAbsolute, resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {flagBoolean, flagInteger, flagList, flagString} from '../../../services/common/command.ts';
import type {Flag, FlagValues} from '../../../services/common/command.ts';
import {parseValue} from '../../../services/common/parse.ts';
import {currentImage} from '../../../services/common/paths.ts';
import type {Paths} from '../../../services/common/paths.ts';
import {MachineError} from '../../errors.ts';
import {defaultPorts, parsePortRange} from '../../forwarded-ports.ts';
import {innerServer} from './addresses.ts';

const Port = Type.Integer({minimum: 1, maximum: 65_535});

export const QemuSettings = Type.Object({
  /** Absolute: an image folder with `manifest.json`, or a disk file. */
  image: Type.String(),
  program: Type.String(),
  memoryMiB: Type.Integer({minimum: 128}),
  cpus: Type.Integer({minimum: 1, maximum: 255}),
  diskBytes: Type.Integer({minimum: 1}),
  /** Firmware code file; found by itself when absent. */
  firmware: Type.Optional(Type.String()),
  secureBoot: Type.Boolean(),
  /** No way out for the guest: only the forwarded ports and the wire. */
  restrict: Type.Boolean(),
  /** A TCP port of the host that the guest reaches even when it has no way out, as {@link innerServer}. */
  server: Type.Optional(Type.Object({host: Type.String(), port: Port})),
  /** TCP ports of the guest that 127.0.0.1 reaches, besides 22 and 2376. */
  publish: Type.Array(Type.Object({host: Port, guest: Port})),
  firstPort: Type.Integer({minimum: 1, maximum: 65_535}),
  lastPort: Type.Integer({minimum: 1, maximum: 65_535}),
  accelerator: Type.Union([Type.Literal('auto'), Type.Literal('kvm'), Type.Literal('tcg')]),
  /** Started with its processors halted (`-S`). */
  paused: Type.Boolean(),
});
export type QemuSettings = Static<typeof QemuSettings>;

export const qemuFlags: readonly Flag[] = [
  {name: 'qemu-memory', type: 'integer', env: 'HAWSER_QEMU_MEMORY', default: 1024, summary: 'memory in MiB'},
  {name: 'qemu-cpus', type: 'integer', env: 'HAWSER_QEMU_CPUS', default: 2, summary: 'number of processors'},
  {
    name: 'qemu-disk-size',
    type: 'string',
    env: 'HAWSER_QEMU_DISK_SIZE',
    default: '20G',
    summary: 'size of the disk, with M, G or T; grows as it is used',
  },
  {
    name: 'qemu-image',
    type: 'string',
    env: 'HAWSER_QEMU_IMAGE',
    summary: 'image folder or disk file; like --image, for this driver only',
  },
  {
    name: 'qemu-firmware',
    type: 'string',
    env: 'HAWSER_QEMU_FIRMWARE',
    summary: 'UEFI code file; OVMF is found by itself',
  },
  {
    name: 'qemu-secure-boot',
    type: 'boolean',
    env: 'HAWSER_QEMU_SECURE_BOOT',
    summary: "enforce Secure Boot with the image's keys",
  },
  {
    name: 'qemu-restrict',
    type: 'boolean',
    env: 'HAWSER_QEMU_RESTRICT',
    summary: 'give the machine no way out to other networks',
  },
  {
    name: 'qemu-server',
    type: 'string',
    summary: `HOST:PORT that the machine reaches as ${innerServer}:PORT, even with --qemu-restrict; taken from --update-server`,
  },
  {
    name: 'qemu-publish',
    type: 'list',
    summary: 'also forward a TCP port of 127.0.0.1 to the machine: HOST:GUEST, or one number for both',
  },
  {
    name: 'qemu-ports',
    type: 'string',
    env: 'HAWSER_QEMU_PORTS',
    default: defaultPorts,
    summary: 'ports of 127.0.0.1 to forward from',
  },
  {
    name: 'qemu-accel',
    type: 'string',
    env: 'HAWSER_QEMU_ACCEL',
    default: 'auto',
    summary: 'auto, kvm or tcg; auto takes kvm when a guest really ran',
  },
  {
    name: 'qemu-program',
    type: 'string',
    env: 'HAWSER_QEMU_PROGRAM',
    default: 'qemu-system-x86_64',
    summary: 'the emulator',
  },
  {
    name: 'qemu-paused',
    type: 'boolean',
    env: 'HAWSER_QEMU_PAUSED',
    summary: 'start with the processors halted (for tests and debuggers)',
  },
];

const MAX_MEMORY_MIB = 1 << 22;

/** Throws `bad-setting` for a value that cannot be meant. */
export async function configureQemu(
  flags: FlagValues,
  from: {cwd: string; paths: Paths},
): Promise<QemuSettings> {
  const given = flagString(flags, 'qemu-image') ?? flagString(flags, 'image') ?? currentImage(from.paths);
  const firmware = flagString(flags, 'qemu-firmware');
  const program = flagString(flags, 'qemu-program') ?? 'qemu-system-x86_64';
  const {first: firstPort, last: lastPort} = parsePortRange(
    'qemu-ports',
    flagString(flags, 'qemu-ports') ?? defaultPorts,
  );
  return {
    image: resolve(from.cwd, given),
    program: program.includes('/') && !isAbsolute(program) ? resolve(from.cwd, program) : program,
    memoryMiB: inRange('qemu-memory', flagInteger(flags, 'qemu-memory') ?? 1024, 128, MAX_MEMORY_MIB),
    cpus: inRange('qemu-cpus', flagInteger(flags, 'qemu-cpus') ?? 2, 1, 255),
    diskBytes: parseSize(flagString(flags, 'qemu-disk-size') ?? '20G'),
    ...(firmware === undefined
      ? {}
      : {firmware: await existingFile('qemu-firmware', resolve(from.cwd, firmware))}),
    secureBoot: flagBoolean(flags, 'qemu-secure-boot'),
    restrict: flagBoolean(flags, 'qemu-restrict'),
    ...serverOf(flags),
    publish: flagList(flags, 'qemu-publish').map(parsePublish),
    firstPort,
    lastPort,
    accelerator: parseAccelerator(flagString(flags, 'qemu-accel') ?? 'auto'),
    paused: flagBoolean(flags, 'qemu-paused'),
  };
}

export function readSettings(settings: unknown): QemuSettings {
  return parseValue(QemuSettings, settings, 'the settings of the qemu machine');
}

/** Given, or the update server's where a restricted machine would not reach it. */
function serverOf(flags: FlagValues): {server?: {host: string; port: number}} {
  const given = flagString(flags, 'qemu-server');
  if (given !== undefined) return {server: parseServer(given)};
  const update = flagString(flags, 'update-server');
  if (update === undefined || !flagBoolean(flags, 'qemu-restrict') || !URL.canParse(update)) return {};
  const {hostname, port} = new URL(update);
  return {server: parseServer(`${hostname}:${port === '' ? 443 : port}`)};
}

/** A name or IPv4 address with a port: it is written into a command line, so nothing else may be in it. */
export function parseServer(text: string): {host: string; port: number} {
  const [, host = '', digits = ''] = /^([A-Za-z0-9][A-Za-z0-9.-]*):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (host !== '' && port >= 1 && port <= 65_535) return {host, port};
  throw badSetting('qemu-server', text, 'for instance 127.0.0.1:8443');
}

const units: Readonly<Record<string, number>> = {M: 2 ** 20, G: 2 ** 30, T: 2 ** 40};

/** `20G`, `512M`, `1T`, or docker-machine's plain number of MB. Bytes. */
export function parseSize(text: string): number {
  const [, number = '', unit = 'M'] = /^(\d{1,9})([MGT])?(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Number(number) * (units[unit.toUpperCase()] ?? 0);
  if (number !== '' && bytes > 0) return bytes;
  throw badSetting('qemu-disk-size', text, 'for instance 20G');
}

/** `8080:80`, or `80` for the same port on both sides. */
export function parsePublish(text: string): {host: number; guest: number} {
  const [, host = '', guest = host] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text) ?? [];
  const pair = {host: Number(host), guest: Number(guest)};
  if (Object.values(pair).every(port => port >= 1 && port <= 65_535)) return pair;
  throw badSetting('qemu-publish', text, 'for instance 8080:80');
}

function parseAccelerator(text: string): QemuSettings['accelerator'] {
  if (text === 'auto' || text === 'kvm' || text === 'tcg') return text;
  throw badSetting('qemu-accel', text, 'one of auto, kvm, tcg');
}

function inRange(flag: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw badSetting(flag, String(value), `from ${least} to ${most}`);
}

async function existingFile(flag: string, path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return path;
  throw badSetting(flag, path, 'the name of a file that exists');
}

function badSetting(flag: string, value: string, remedy: string): MachineError {
  return new MachineError('bad-setting', `--${flag} is "${value}"`, {remedy: `give ${remedy}`});
}
