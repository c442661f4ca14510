/** docker-machine's `--engine-*` flags as files of the first boot. Pure. */
import {MachineError} from './errors.ts';
import type {FirstBootFile} from './ports.ts';

export interface EngineOptions {
  /** `NAME=VALUE`, or `NAME` for a switch, as dockerd's flags are called. */
  readonly options: readonly string[];
  /** `NAME=VALUE`. */
  readonly environment: readonly string[];
  readonly labels: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly registryMirrors: readonly string[];
  readonly storageDriver?: string;
}

/** The image's own daemon.json: what is written on the first boot takes its place, so it holds this too. */
export const imageDaemonConfig: Readonly<Record<string, unknown>> = {
  'live-restore': true,
  dns: ['169.254.67.53', '169.254.67.54'],
  'log-driver': 'local',
  'log-opts': {'max-size': '20m', 'max-file': '5'},
  'exec-opts': ['native.cgroupdriver=systemd'],
  'storage-driver': 'overlay2',
};

/** dockerd's flags that may be given more than once, by the key of daemon.json that holds them. */
const lists: Readonly<Record<string, string>> = {
  dns: 'dns',
  'dns-opt': 'dns-opts',
  'dns-search': 'dns-search',
  'exec-opt': 'exec-opts',
  'storage-opt': 'storage-opts',
  label: 'labels',
  'insecure-registry': 'insecure-registries',
  'registry-mirror': 'registry-mirrors',
};
const maps: Readonly<Record<string, string>> = {'log-opt': 'log-opts', 'default-ulimit': 'default-ulimits'};

/** None when nothing was asked for. Throws `bad-setting`. */
export function engineFiles(wish: EngineOptions): readonly FirstBootFile[] {
  const config: Record<string, unknown> = {...imageDaemonConfig};
  const given = [
    ...wish.options,
    ...wish.labels.map(label => `label=${label}`),
    ...wish.insecureRegistries.map(registry => `insecure-registry=${registry}`),
    ...wish.registryMirrors.map(mirror => `registry-mirror=${mirror}`),
    ...(wish.storageDriver === undefined ? [] : [`storage-driver=${wish.storageDriver}`]),
  ];
  for (const option of given) apply(config, option);
  const files: FirstBootFile[] = [];
  if (given.length > 0) {
    const contents = `${JSON.stringify(config, undefined, 2)}\n`;
    files.push({path: '/etc/docker/daemon.json', mode: 0o644, contents});
  }
  if (wish.environment.length > 0) {
    const lines = wish.environment.map(environmentLine);
    const contents = ['[Service]', ...lines, ''].join('\n');
    files.push({path: '/etc/systemd/system/docker.service.d/60-hawser-engine.conf', mode: 0o644, contents});
  }
  return files;
}

function apply(config: Record<string, unknown>, option: string): void {
  const [, name = '', value] = /^(?:--)?([a-z][a-z0-9-]*)(?:[= ](.*))?$/s.exec(option) ?? [];
  if (name === '') throw bad('engine-opt', option, 'give NAME=VALUE, for instance dns=10.0.0.1');
  if (name === 'host' || name.startsWith('tls'))
    throw bad('engine-opt', option, 'Hawser sets the address and the certificates of Docker itself');
  const list = lists[name];
  const map = maps[name];
  if (list !== undefined) {
    // Resolvers that the operator names take the place of the image's: a container asks the later ones only when the first fails.
    const before = list === 'dns' && config[list] === imageDaemonConfig[list] ? undefined : config[list];
    config[list] = [...(Array.isArray(before) ? (before as readonly unknown[]) : []), value ?? ''];
  } else if (map !== undefined) {
    const [key = '', ...rest] = (value ?? '').split('=');
    config[map] = {...asRecord(config[map]), [key]: rest.join('=')};
  } else config[name] = scalar(value);
  // Options of the image's log driver are no other driver's.
  if (name === 'log-driver' && value !== imageDaemonConfig['log-driver']) delete config['log-opts'];
}

function scalar(value: string | undefined): string | number | boolean {
  if (value === undefined || value === 'true') return true;
  if (value === 'false') return false;
  return /^\d{1,15}$/.test(value) ? Number(value) : value;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? {...value} : {};
}

// systemd.exec(5): quoted, backslashes and quotes escaped; a percent sign begins a specifier.
function environmentLine(pair: string): string {
  if (!/^[A-Za-z_]\w*=[^\n]*$/.test(pair)) throw bad('engine-env', pair, 'give NAME=VALUE');
  const quoted = pair.replaceAll(/["\\]/g, '\\$&').replaceAll('%', '%%');
  return `Environment="${quoted}"`;
}

function bad(flag: string, given: string, remedy: string): MachineError {
  return new MachineError('bad-setting', `--${flag} is "${given}"`, {remedy});
}
