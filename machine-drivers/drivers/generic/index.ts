/**
 * The generic driver: a host that somebody else made and that runs the image, reached by SSH. It can be adopted and
 * given back; its power is not ours.
 */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ExecError, exec} from '../../../services/common/exec.ts';
import type {
  Driver,
  DriverContext,
  DriverHost,
  DriverMachine,
  MachineState,
  Resources,
} from '../../driver.ts';
import {MachineError, checkFailed} from '../../errors.ts';
import {runRootScript, shellQuote, writeFileLines} from '../../ssh/root-script.ts';
import {readBanner} from '../../ssh/wait.ts';
import {filesOfIgnition} from './host-files.ts';
import {operatorSsh} from './login.ts';
import {configureGeneric, genericFlags, readGenericSettings} from './settings.ts';
import type {GenericSettings} from './settings.ts';

const CALL_TIMEOUT_MS = 120_000;
const BANNER_TIMEOUT_MS = 10_000;
const ENROL = '/usr/lib/hawser/hawser-enrol';

const steps = [
  {name: 'login', title: 'Letting the machine’s own key in'},
  {name: 'identity', title: 'Telling the host who it is'},
] as const;

export const genericDriver: Driver = {
  name: 'generic',
  summary: 'a host of the image that is there already, by SSH',
  flags: genericFlags,
  configure: configureGeneric,
  login: settings => readGenericSettings(settings).user,
  preCreateCheck: async (given, context) => {
    const settings = readGenericSettings(given);
    const {host, sshPort} = settings;
    const banner = await readBanner({host, port: sshPort}, BANNER_TIMEOUT_MS, context.signal);
    if (!banner.startsWith('SSH-')) {
      throw checkFailed(
        `no SSH at ${host}, port ${sshPort}`,
        'check --generic-ip-address and --generic-ssh-port, and that the host runs',
      );
    }
    try {
      const ssh = operatorSsh(settings, '/dev/null');
      await onHost(host, () =>
        exec([...ssh, '--', 'true'], {timeoutMs: CALL_TIMEOUT_MS, signal: context.signal}),
      );
    } catch (error) {
      if (!(error instanceof MachineError)) throw error;
      throw checkFailed(error.message, error.remedy ?? 'check the login', error);
    }
  },
  plan: () => steps,
  ensure: async (step, machine, host) => {
    if (step === 'login') return allowKey(machine, host);
    if (step === 'identity') return tellIdentity(machine, host);
    throw new MachineError('driver-failed', `generic has no step "${step}"`);
  },
  observe: async (machines, context) =>
    new Map(
      await Promise.all(
        machines.map(async machine => [machine.uuid, {state: await stateOf(machine, context)}] as const),
      ),
    ),
  start: machine => Promise.reject(notOurs(machine, 'start')),
  stop: machine => Promise.reject(notOurs(machine, 'stop')),
  kill: machine => Promise.reject(notOurs(machine, 'kill')),
  destroy: async (machine, host) => {
    const settings = readGenericSettings(machine.settings);
    const ssh = sshTo(machine, settings);
    await onHost(settings.host, () =>
      exec([...ssh, '--', 'sh -s'], {
        timeoutMs: CALL_TIMEOUT_MS,
        signal: host.signal,
        input: forgetKeyScript(machine.uuid),
      }),
    );
  },
  endpoint: machine => {
    const {host, sshPort, dockerPort} = readGenericSettings(machine.settings);
    return {ssh: {host, port: sshPort}, docker: {host, port: dockerPort}};
  },
};

function sshTo(machine: DriverMachine, settings: GenericSettings): string[] {
  return operatorSsh(settings, join(machine.folder, 'known_hosts.operator'));
}

async function allowKey(machine: DriverMachine, {signal}: DriverHost): Promise<Resources> {
  const settings = readGenericSettings(machine.settings);
  const ssh = sshTo(machine, settings);
  const publicKey = await readFile(join(machine.folder, 'id_ed25519.pub'), 'utf8');
  const [type = '', key = ''] = publicKey.trim().split(/\s+/);
  const line = `${type} ${key} ${marker(machine.uuid)}`;
  await onHost(settings.host, () =>
    exec([...ssh, '--', 'sh -s'], {timeoutMs: CALL_TIMEOUT_MS, signal, input: allowKeyScript(line)}),
  );
  return {login: marker(machine.uuid)};
}

async function tellIdentity(machine: DriverMachine, host: DriverHost): Promise<Resources> {
  const settings = readGenericSettings(machine.settings);
  const ssh = sshTo(machine, settings);
  const files = filesOfIgnition((await host.firstBoot([])).text);
  const script = [
    'set -eu',
    `test -x ${ENROL} || { echo 'this host does not run the image' >&2; exit 1; }`,
    ...files.flatMap(file => writeFileLines(file.path, file.mode, file.contents)),
    'hostname -F /etc/hostname || true',
    `${ENROL} request`,
    '',
  ].join('\n');
  await onHost(settings.host, () =>
    runRootScript(ssh, script, {timeoutMs: CALL_TIMEOUT_MS, signal: host.signal}),
  );
  return {};
}

/** The line is there once, whatever was there before. */
function allowKeyScript(line: string): string {
  const file = '"$HOME/.ssh/authorized_keys"';
  return [
    'set -eu',
    'umask 077',
    'mkdir -p "$HOME/.ssh"',
    `grep -qxF ${shellQuote(line)} ${file} 2>/dev/null || printf '%s\\n' ${shellQuote(line)} >> ${file}`,
    '',
  ].join('\n');
}

function forgetKeyScript(uuid: string): string {
  const file = '"$HOME/.ssh/authorized_keys"';
  return [
    'set -eu',
    'umask 077',
    `test -f ${file} || exit 0`,
    `grep -vF ${shellQuote(marker(uuid))} ${file} > ${file}.hawser || true`,
    // The file stays what it is, with its owner and mode.
    `cat ${file}.hawser > ${file}`,
    `rm ${file}.hawser`,
    '',
  ].join('\n');
}

function marker(uuid: string): string {
  return `hawser:${uuid}`;
}

async function stateOf(machine: DriverMachine, {signal}: DriverContext): Promise<MachineState> {
  const {host, sshPort} = readGenericSettings(machine.settings);
  const banner = await readBanner({host, port: sshPort}, BANNER_TIMEOUT_MS, signal);
  return banner.startsWith('SSH-') ? 'Running' : 'Stopped';
}

/** ssh's complaint as ours, with what can be done about it. */
async function onHost<Result>(host: string, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof ExecError)) throw error;
    const said = error.result.stderr.trim().split('\n').at(-1) ?? '';
    if (/Permission denied/.test(said)) {
      throw new MachineError('credentials', `${host} does not let us in: ${said}`, {
        remedy: 'check --generic-ssh-user and --generic-ssh-key',
        cause: error,
      });
    }
    if (/Connection refused|timed out|No route|resolve hostname|Connection closed/i.test(said)) {
      throw new MachineError('unreachable', `${host} cannot be reached: ${said}`, {
        remedy: 'start the host, or forget it with hawser machine rm -f',
        cause: error,
      });
    }
    if (/Host key verification failed/.test(error.result.stderr)) {
      throw new MachineError('credentials', `${host} does not have the host key that is known of it`, {
        remedy: 'check --generic-host-key or your known_hosts',
        cause: error,
      });
    }
    throw new MachineError('driver-failed', `${host}: ${said === '' ? error.message : said}`, {cause: error});
  }
}

function notOurs(machine: DriverMachine, verb: string): MachineError {
  return new MachineError('driver-failed', `generic driver does not support ${verb}`, {
    remedy: `${verb} the host of "${machine.name}" by its own means, or hawser machine ssh ${machine.name} sudo systemctl reboot`,
  });
}
