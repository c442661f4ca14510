/** The emulator's command line: pure, from what a machine is to an argument array. */
import type {Wire} from './identity.ts';
import {innerServer} from './addresses.ts';

export interface QemuPlan {
  readonly program: string;
  readonly name: string;
  readonly uuid: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly secureBoot: boolean;
  readonly restrict: boolean;
  readonly paused: boolean;
  readonly firmwareCode: string;
  readonly firmwareVars: string;
  readonly disk: string;
  /** Ignition file. */
  readonly config: string;
  readonly sshPort: number;
  readonly dockerPort: number;
  readonly server?: {readonly host: string; readonly port: number} | undefined;
  readonly publish: readonly {readonly host: number; readonly guest: number}[];
  readonly outMac: string;
  readonly wireMac: string;
  readonly wire: Wire;
  readonly console: string;
  readonly monitor: string;
  readonly pidFile: string;
}

/** The whole command; the emulator goes to the background by itself once everything is open. */
export function qemuCommand(plan: QemuPlan): string[] {
  return [
    plan.program,
    ['-name', `guest=${escaped(plan.name)},process=hawser-${escaped(plan.name)}`],
    ['-uuid', plan.uuid],
    '-nodefaults',
    '-no-user-config',
    ['-display', 'none'],
    ...machine(plan),
    ['-smp', String(plan.cpus)],
    ['-m', `${plan.memoryMiB}M`],
    ['-smbios', `type=1,uuid=${plan.uuid}`],
    ['-device', 'virtio-rng-pci'],
    ...firmware(plan),
    ['-drive', `if=none,id=disk,format=qcow2,discard=unmap,cache=writeback,file=${escaped(plan.disk)}`],
    ['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
    ['-netdev', userNetwork(plan)],
    ['-device', `virtio-net-pci,netdev=out,mac=${plan.outMac},romfile=`],
    ['-netdev', `socket,id=wire,mcast=${plan.wire.group}:${plan.wire.port},localaddr=127.0.0.1`],
    ['-device', `virtio-net-pci,netdev=wire,mac=${plan.wireMac},romfile=`],
    ['-fw_cfg', `name=opt/com.coreos/config,file=${escaped(plan.config)}`],
    ['-chardev', `file,id=console,append=on,path=${escaped(plan.console)}`],
    ['-serial', 'chardev:console'],
    ['-chardev', `socket,id=monitor,server=on,wait=off,path=${escaped(plan.monitor)}`],
    ['-mon', 'chardev=monitor,mode=control'],
    ['-pidfile', plan.pidFile],
    '-daemonize',
    ...(plan.paused ? ['-S'] : []),
  ].flat();
}

function machine(plan: QemuPlan): string[] {
  // thread=multi and the larger translation buffer: measured on TCG, see the reference trial's command line.
  const accelerator = plan.accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi,tb-size=512';
  return ['-machine', plan.secureBoot ? 'q35,smm=on' : 'q35', '-accel', accelerator, '-cpu', 'max'];
}

/** Secure Boot needs the variable store to be writable from system management mode only. */
function firmware(plan: QemuPlan): string[] {
  return [
    ...(plan.secureBoot
      ? ['-global', 'driver=cfi.pflash01,property=secure,value=on', '-global', 'ICH9-LPC.disable_s3=1']
      : []),
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${escaped(plan.firmwareCode)}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${escaped(plan.firmwareVars)}`],
  ].flat();
}

function userNetwork(plan: QemuPlan): string {
  return [
    'user,id=out',
    // Forwarded ports stay open with restrict=on; everything that the guest begins is dropped.
    ...(plan.restrict ? ['restrict=on'] : []),
    `hostfwd=tcp:127.0.0.1:${plan.sshPort}-:22`,
    `hostfwd=tcp:127.0.0.1:${plan.dockerPort}-:2376`,
    ...forwardedServer(plan),
    ...plan.publish.map(({host, guest}) => `hostfwd=tcp:127.0.0.1:${host}-:${guest}`),
  ].join(',');
}

/** One program a connection: QEMU's other form would join all connections into one. */
function forwardedServer({server}: QemuPlan): string[] {
  if (server === undefined) return [];
  const {host, port} = server;
  return [`guestfwd=tcp:${innerServer}:${port}-cmd:socat - TCP:${host}:${port}`];
}

/** QEMU's option syntax: a comma inside a value is written twice. */
function escaped(value: string): string {
  return value.replaceAll(',', ',,');
}
