/** The emulator's argument array for a test VM. */
import type {BootMachine} from './machine.ts';

export type DiskBus = 'virtio-blk' | 'virtio-scsi' | 'nvme' | 'sata';
export type NicModel = 'virtio-net-pci' | 'e1000' | 'e1000e';

export interface HardwareOptions {
  readonly memoryMiB?: number;
  readonly cpus?: number;
  readonly accelerator?: 'kvm' | 'tcg';
  readonly diskBus?: DiskBus;
  readonly nic?: NicModel;
  /** qcow2 or raw cache mode; `writeback` keeps what the guest flushed when the process is killed. */
  readonly cache?: 'unsafe' | 'writeback';
  /** Values of `-smbios`, such as `type=1,manufacturer=Amazon EC2`. */
  readonly smbios?: readonly string[];
  /** Name to file, for `-fw_cfg`. */
  readonly fwCfg?: Readonly<Record<string, string>>;
  /** More of the `-netdev user` value, such as `guestfwd=...`; `restrict=on` is always there. */
  readonly network?: readonly string[];
  /** Guest ports that loopback reaches, beside 22: guest port to host port. */
  readonly forward?: Readonly<Record<number, number>>;
  /** False: the machine has no serial line, the console stays empty. */
  readonly serial?: boolean;
  /** QEMU ends when the guest reboots. */
  readonly noReboot?: boolean;
  /**
   * File that gets every write and flush of the disk, in the format of dm-log-writes. The guest then has no discard and
   * no write-zeroes: all that changes the disk is a write.
   */
  readonly writeLog?: string;
  readonly extraArgs?: readonly string[];
}

export interface Sockets {
  readonly console: string;
  readonly monitor: string;
  readonly pidFile: string;
  readonly sshPort: number;
}

/** Nothing that the guest begins leaves the emulator: the network is restricted to what is forwarded. */
export function commandLine(machine: BootMachine, hardware: HardwareOptions, sockets: Sockets): string[] {
  const {firmware, disk} = machine;
  const tcg = hardware.accelerator !== 'kvm';
  const forward = {...hardware.forward, 22: sockets.sshPort};
  return [
    'qemu-system-x86_64',
    '-nodefaults',
    '-no-user-config',
    ['-display', 'none'],
    ['-machine', firmware.secure ? 'q35,smm=on' : 'q35'],
    ['-accel', tcg ? 'tcg,thread=multi,tb-size=512' : 'kvm'],
    ['-cpu', 'max'],
    ['-smp', String(hardware.cpus ?? 2)],
    ['-m', `${hardware.memoryMiB ?? 1024}M`],
    ['-device', 'virtio-rng-pci'],
    ...(firmware.secure
      ? ['-global', 'driver=cfi.pflash01,property=secure,value=on', '-global', 'ICH9-LPC.disable_s3=1']
      : []),
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${firmware.code}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${firmware.vars}`],
    ...(hardware.writeLog === undefined
      ? [
          [
            '-drive',
            `if=none,id=disk,format=${disk.format},discard=unmap,cache=${hardware.cache ?? 'unsafe'},file=${disk.path}`,
          ],
          ...diskDevices[hardware.diskBus ?? 'virtio-blk'],
        ]
      : loggedDisk(disk, hardware.writeLog)),
    ['-netdev', ['user,id=out,restrict=on', ...forwards(forward), ...(hardware.network ?? [])].join(',')],
    ['-device', `${hardware.nic ?? 'virtio-net-pci'},netdev=out,romfile=`],
    ...(hardware.smbios ?? []).flatMap(value => ['-smbios', value]),
    ...Object.entries(hardware.fwCfg ?? {}).flatMap(([name, file]) => [
      '-fw_cfg',
      `name=${name},file=${file}`,
    ]),
    ['-chardev', `file,id=console,path=${sockets.console}`],
    ...(hardware.serial === false ? [] : ['-serial', 'chardev:console']),
    ['-chardev', `socket,id=monitor,server=on,wait=off,path=${sockets.monitor}`],
    ['-mon', 'chardev=monitor,mode=control'],
    ['-pidfile', sockets.pidFile],
    ...(hardware.noReboot ? ['-no-reboot'] : []),
    ...(hardware.extraArgs ?? []),
  ].flat();
}

const diskDevices: Readonly<Record<DiskBus, readonly string[]>> = {
  'virtio-blk': ['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
  'virtio-scsi': [
    '-device',
    'virtio-scsi-pci,id=scsi',
    '-device',
    'scsi-hd,bus=scsi.0,drive=disk,bootindex=1',
  ],
  nvme: ['-device', 'nvme,serial=hawser,drive=disk,bootindex=1'],
  // the chipset's own controller, as VirtualBox has it
  sata: ['-device', 'ide-hd,bus=ide.0,drive=disk,bootindex=1'],
};

/** Flushes reach the log, which needs them, and stop there: the host's disk need not hear of them. */
function loggedDisk(disk: BootMachine['disk'], log: string): string[] {
  return [
    '-drive',
    [
      'if=none,id=disk,driver=blklogwrites,cache=writeback',
      `file.driver=${disk.format},file.file.driver=file,file.file.filename=${disk.path}`,
      `log.driver=file,log.filename=${log},log-sector-size=512`,
      'file.cache.no-flush=on,file.file.cache.no-flush=on,log.cache.no-flush=on',
    ].join(','),
    '-device',
    'virtio-blk-pci,drive=disk,bootindex=1,discard=off,write-zeroes=off',
  ];
}

function forwards(ports: Readonly<Record<string, number>>): string[] {
  return Object.entries(ports).map(([guest, host]) => `hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
}
