/** What a VirtualBox machine can be told: docker-machine's flags, and a few of our own. */
import {availableParallelism} from 'node:os';
import {isAbsolute, resolve} from 'node:path';
import {Type, type Static} from 'typebox';
import {flagBoolean, flagInteger, flagString} from '../../../services/common/command.ts';
import type {Flag, FlagValues} from '../../../services/common/command.ts';
import {parseValue} from '../../../services/common/parse.ts';
import {currentImage} from '../../../services/common/paths.ts';
import type {ConfigureContext} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {defaultPorts, parsePortRange} from '../../forwarded-ports.ts';
import {parseCidr} from './cidr.ts';

const NicType = Type.Union([
  Type.Literal('Am79C970A'),
  Type.Literal('Am79C973'),
  Type.Literal('82540EM'),
  Type.Literal('82543GC'),
  Type.Literal('82545EM'),
  Type.Literal('virtio'),
]);

export const VirtualboxSettings = Type.Object({
  /** Absolute: an image folder with `manifest.json`, or a raw disk file. */
  image: Type.String(),
  program: Type.String(),
  memoryMiB: Type.Integer({minimum: 128}),
  cpus: Type.Integer({minimum: 1, maximum: 32}),
  diskMiB: Type.Integer({minimum: 1}),
  ports: Type.Object({first: Type.Integer(), last: Type.Integer()}),
  natNicType: NicType,
  hostDnsResolver: Type.Boolean(),
  dnsProxy: Type.Boolean(),
  uiType: Type.Union([
    Type.Literal('headless'),
    Type.Literal('gui'),
    Type.Literal('sdl'),
    Type.Literal('separate'),
  ]),
  /** A second card on a network that this host shares; absent unless it is asked for. */
  hostonly: Type.Optional(
    Type.Object({
      /** The host's own address with its prefix: 192.168.56.1/24. */
      cidr: Type.String(),
      nicType: NicType,
      promiscuous: Type.Union([Type.Literal('deny'), Type.Literal('allow-vms'), Type.Literal('allow-all')]),
    }),
  ),
});
export type VirtualboxSettings = Static<typeof VirtualboxSettings>;

const CPUS_MAX = 32;
const ownImage = 'machines start from Hawser’s image; name another with --virtualbox-image';

export const virtualboxFlags: readonly Flag[] = [
  number('memory', 'VIRTUALBOX_MEMORY_SIZE', 1024, 'memory in MiB'),
  number('cpu-count', 'VIRTUALBOX_CPU_COUNT', 1, 'number of processors (-1: all of this host)'),
  number('disk-size', 'VIRTUALBOX_DISK_SIZE', 20_000, 'size of the disk in MiB; grows as it is used'),
  text('image', 'VIRTUALBOX_IMAGE', 'image folder or raw disk file; like --image, for this driver only'),
  {...text('ports', 'VIRTUALBOX_PORTS', 'ports of 127.0.0.1 to forward from'), default: defaultPorts},
  {...text('program', 'VIRTUALBOX_PROGRAM', "VirtualBox's command"), default: 'VBoxManage'},
  {...text('ui-type', 'VIRTUALBOX_UI_TYPE', 'headless, gui, sdl or separate'), default: 'headless'},
  {...text('nat-nictype', 'VIRTUALBOX_NAT_NICTYPE', 'network card of the way out'), default: '82540EM'},
  onOff('host-dns-resolver', 'VIRTUALBOX_HOST_DNS_RESOLVER', "resolve names by the host's own means"),
  onOff('no-dns-proxy', 'VIRTUALBOX_NO_DNS_PROXY', 'do not pass DNS on to the host'),
  text(
    'hostonly-cidr',
    'VIRTUALBOX_HOSTONLY_CIDR',
    "also a network with this host: the host's address in it, for instance 192.168.56.1/24",
  ),
  {...text('hostonly-nictype', 'VIRTUALBOX_HOSTONLY_NIC_TYPE', 'its network card'), default: '82540EM'},
  {
    ...text('hostonly-nicpromisc', 'VIRTUALBOX_HOSTONLY_NIC_PROMISC', 'deny, allow-vms or allow-all'),
    default: 'deny',
  },
  onOff('hostonly-no-dhcp', 'VIRTUALBOX_HOSTONLY_NO_DHCP', 'no effect: addresses are static'),
  onOff('no-share', 'VIRTUALBOX_NO_SHARE', 'no effect: nothing of this host is shared'),
  onOff('no-vtx-check', 'VIRTUALBOX_NO_VTX_CHECK', 'no effect: VirtualBox itself checks'),
  {...text('boot2docker-url', 'VIRTUALBOX_BOOT2DOCKER_URL', 'another ISO'), refused: ownImage},
  {...text('import-boot2docker-vm', 'VIRTUALBOX_BOOT2DOCKER_IMPORT_VM', 'an old VM'), refused: ownImage},
  {
    ...text('share-folder', 'VIRTUALBOX_SHARE_FOLDER', 'share a folder of this host'),
    refused: 'the image has no guest additions; use hawser machine mount, or a volume',
  },
];

/** Throws `bad-setting`. */
export function configureVirtualbox(flags: FlagValues, from: ConfigureContext): Promise<VirtualboxSettings> {
  const string = (name: string) => flagString(flags, `virtualbox-${name}`);
  const image = string('image') ?? flagString(flags, 'image') ?? currentImage(from.paths);
  const program = string('program') ?? 'VBoxManage';
  const cidr = string('hostonly-cidr');
  if (cidr !== undefined) parseCidr(cidr);
  const cpus = flagInteger(flags, 'virtualbox-cpu-count') ?? 1;
  const settings = {
    image: resolve(from.cwd, image),
    program: program.includes('/') && !isAbsolute(program) ? resolve(from.cwd, program) : program,
    memoryMiB: flagInteger(flags, 'virtualbox-memory') ?? 1024,
    cpus: Math.min(cpus === -1 ? availableParallelism() : cpus, CPUS_MAX),
    diskMiB: flagInteger(flags, 'virtualbox-disk-size') ?? 20_000,
    ports: parsePortRange('virtualbox-ports', string('ports') ?? defaultPorts),
    natNicType: string('nat-nictype') ?? '82540EM',
    hostDnsResolver: flagBoolean(flags, 'virtualbox-host-dns-resolver'),
    dnsProxy: !flagBoolean(flags, 'virtualbox-no-dns-proxy'),
    uiType: string('ui-type') ?? 'headless',
    ...(cidr === undefined
      ? {}
      : {
          hostonly: {
            cidr,
            nicType: string('hostonly-nictype') ?? '82540EM',
            promiscuous: string('hostonly-nicpromisc') ?? 'deny',
          },
        }),
  };
  try {
    return Promise.resolve(parseValue(VirtualboxSettings, settings, 'what was said about the machine'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return Promise.reject(
      new MachineError('bad-setting', why, {
        remedy: 'see hawser machine create --help for the values of the --virtualbox flags',
        cause: error,
      }),
    );
  }
}

export function readVirtualboxSettings(settings: unknown): VirtualboxSettings {
  return parseValue(VirtualboxSettings, settings, 'the settings of the VirtualBox machine');
}

function text(name: string, env: string, summary: string): Flag {
  return {name: `virtualbox-${name}`, type: 'string', env, summary};
}

function number(name: string, env: string, byDefault: number, summary: string): Flag {
  return {name: `virtualbox-${name}`, type: 'integer', env, default: byDefault, summary};
}

function onOff(name: string, env: string, summary: string): Flag {
  return {name: `virtualbox-${name}`, type: 'boolean', env, summary};
}
