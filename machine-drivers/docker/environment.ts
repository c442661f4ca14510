/** `machine env` and `machine config`: docker-machine's text to the letter, for its six shells. Pure. */

export const shells = ['sh', 'bash', 'zsh', 'fish', 'cmd', 'powershell', 'tcsh', 'emacs'] as const;
export type Shell = (typeof shells)[number];

export interface DockerEnvironment {
  readonly name: string;
  readonly host: string;
  readonly certPath: string;
  /** The value of NO_PROXY with the machine added, when that was asked for. */
  readonly noProxy?: string;
}

interface Dialect {
  set(name: string, value: string): string;
  unset(name: string): string;
  /** The closing remark; `command` is what was typed. */
  hint(command: string): readonly string[];
}

const posix: Dialect = {
  set: (name, value) => `export ${name}="${value}"`,
  unset: name => `unset ${name}`,
  hint: command => ['# Run this command to configure your shell: ', `# eval $(${command})`],
};

const dialects: Readonly<Record<Shell, Dialect>> = {
  sh: posix,
  bash: posix,
  zsh: posix,
  fish: {
    set: (name, value) => `set -gx ${name} "${value}";`,
    unset: name => `set -e ${name};`,
    hint: command => ['# Run this command to configure your shell: ', `# eval (${command})`],
  },
  cmd: {
    set: (name, value) => `SET ${name}=${value}`,
    unset: name => `SET ${name}=`,
    hint: command => [
      'REM Run this command to configure your shell: ',
      `REM \t@FOR /f "tokens=*" %i IN ('${command}') DO @%i`,
    ],
  },
  powershell: {
    set: (name, value) => `$Env:${name} = "${value}"`,
    unset: name => `Remove-Item Env:\\${name}`,
    hint: command => ['# Run this command to configure your shell: ', `# & ${command} | Invoke-Expression`],
  },
  tcsh: {
    set: (name, value) => `setenv ${name} "${value}";`,
    unset: name => `unsetenv ${name};`,
    hint: command => [': Run this command to configure your shell: ', `: eval \`${command}\``],
  },
  emacs: {
    set: (name, value) => `(setenv "${name}" "${value}")`,
    unset: name => `(setenv "${name}" nil)`,
    hint: command => [
      ';; Run this command to configure your shell: ',
      `;; (with-temp-buffer (shell-command "${command}" (current-buffer)) (eval-buffer))`,
    ],
  },
};

export function isShell(text: string): text is Shell {
  return shells.some(shell => shell === text);
}

/** The shell named by `SHELL`, or `sh` when it is none that we know. */
export function detectShell(shellPath: string | undefined): Shell {
  const name = shellPath?.split('/').at(-1) ?? '';
  if (name === 'csh') return 'tcsh';
  return isShell(name) ? name : 'sh';
}

export function renderEnvironment(shell: Shell, environment: DockerEnvironment, command: string): string[] {
  const dialect = dialects[shell];
  return [
    dialect.set('DOCKER_TLS_VERIFY', '1'),
    dialect.set('DOCKER_HOST', environment.host),
    dialect.set('DOCKER_CERT_PATH', environment.certPath),
    dialect.set('DOCKER_MACHINE_NAME', environment.name),
    ...(environment.noProxy === undefined ? [] : [dialect.set('NO_PROXY', environment.noProxy)]),
    ...dialect.hint(command),
  ];
}

export function renderUnset(shell: Shell, noProxy: boolean, command: string): string[] {
  const dialect = dialects[shell];
  const names = ['DOCKER_TLS_VERIFY', 'DOCKER_HOST', 'DOCKER_CERT_PATH', 'DOCKER_MACHINE_NAME'];
  return [
    ...[...names, ...(noProxy ? ['NO_PROXY'] : [])].map(name => dialect.unset(name)),
    ...dialect.hint(command),
  ];
}

/** `machine config`: flags for the docker command. */
export function renderConfig(environment: DockerEnvironment): string[] {
  const {certPath, host} = environment;
  return [
    '--tlsverify',
    `--tlscacert="${certPath}/ca.pem"`,
    `--tlscert="${certPath}/cert.pem"`,
    `--tlskey="${certPath}/key.pem"`,
    `-H=${host}`,
  ];
}

/** `current` with `host` added once. */
export function extendNoProxy(current: string | undefined, host: string): string {
  const entries = (current ?? '').split(',').filter(entry => entry !== '');
  return entries.includes(host) ? entries.join(',') : [...entries, host].join(',');
}
