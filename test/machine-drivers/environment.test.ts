import test from 'ava';
import {
  detectShell,
  extendNoProxy,
  isShell,
  renderConfig,
  renderEnvironment,
  renderUnset,
} from '../../machine-drivers/docker/environment.ts';
import type {Shell} from '../../machine-drivers/docker/environment.ts';
import {exec} from '../../services/common/exec.ts';

const environment = {name: 'web', host: 'tcp://127.0.0.1:20201', certPath: '/home/me/machines/web'};
const command = 'hawser machine env web';

/** docker-machine 0.16's own output, with our command in the closing remark. */
const expected: Readonly<Record<Exclude<Shell, 'bash' | 'zsh'>, {set: string[]; unset: string[]}>> = {
  sh: {
    set: [
      'export DOCKER_TLS_VERIFY="1"',
      'export DOCKER_HOST="tcp://127.0.0.1:20201"',
      'export DOCKER_CERT_PATH="/home/me/machines/web"',
      'export DOCKER_MACHINE_NAME="web"',
      '# Run this command to configure your shell: ',
      '# eval $(hawser machine env web)',
    ],
    unset: [
      'unset DOCKER_TLS_VERIFY',
      'unset DOCKER_HOST',
      'unset DOCKER_CERT_PATH',
      'unset DOCKER_MACHINE_NAME',
    ],
  },
  fish: {
    set: [
      'set -gx DOCKER_TLS_VERIFY "1";',
      'set -gx DOCKER_HOST "tcp://127.0.0.1:20201";',
      'set -gx DOCKER_CERT_PATH "/home/me/machines/web";',
      'set -gx DOCKER_MACHINE_NAME "web";',
      '# Run this command to configure your shell: ',
      '# eval (hawser machine env web)',
    ],
    unset: [
      'set -e DOCKER_TLS_VERIFY;',
      'set -e DOCKER_HOST;',
      'set -e DOCKER_CERT_PATH;',
      'set -e DOCKER_MACHINE_NAME;',
    ],
  },
  cmd: {
    set: [
      'SET DOCKER_TLS_VERIFY=1',
      'SET DOCKER_HOST=tcp://127.0.0.1:20201',
      'SET DOCKER_CERT_PATH=/home/me/machines/web',
      'SET DOCKER_MACHINE_NAME=web',
      'REM Run this command to configure your shell: ',
      'REM \t@FOR /f "tokens=*" %i IN (\'hawser machine env web\') DO @%i',
    ],
    unset: [
      'SET DOCKER_TLS_VERIFY=',
      'SET DOCKER_HOST=',
      'SET DOCKER_CERT_PATH=',
      'SET DOCKER_MACHINE_NAME=',
    ],
  },
  powershell: {
    set: [
      '$Env:DOCKER_TLS_VERIFY = "1"',
      '$Env:DOCKER_HOST = "tcp://127.0.0.1:20201"',
      '$Env:DOCKER_CERT_PATH = "/home/me/machines/web"',
      '$Env:DOCKER_MACHINE_NAME = "web"',
      '# Run this command to configure your shell: ',
      '# & hawser machine env web | Invoke-Expression',
    ],
    unset: [
      'Remove-Item Env:\\DOCKER_TLS_VERIFY',
      'Remove-Item Env:\\DOCKER_HOST',
      'Remove-Item Env:\\DOCKER_CERT_PATH',
      'Remove-Item Env:\\DOCKER_MACHINE_NAME',
    ],
  },
  tcsh: {
    set: [
      'setenv DOCKER_TLS_VERIFY "1";',
      'setenv DOCKER_HOST "tcp://127.0.0.1:20201";',
      'setenv DOCKER_CERT_PATH "/home/me/machines/web";',
      'setenv DOCKER_MACHINE_NAME "web";',
      ': Run this command to configure your shell: ',
      ': eval `hawser machine env web`',
    ],
    unset: [
      'unsetenv DOCKER_TLS_VERIFY;',
      'unsetenv DOCKER_HOST;',
      'unsetenv DOCKER_CERT_PATH;',
      'unsetenv DOCKER_MACHINE_NAME;',
    ],
  },
  emacs: {
    set: [
      '(setenv "DOCKER_TLS_VERIFY" "1")',
      '(setenv "DOCKER_HOST" "tcp://127.0.0.1:20201")',
      '(setenv "DOCKER_CERT_PATH" "/home/me/machines/web")',
      '(setenv "DOCKER_MACHINE_NAME" "web")',
      ';; Run this command to configure your shell: ',
      ';; (with-temp-buffer (shell-command "hawser machine env web" (current-buffer)) (eval-buffer))',
    ],
    unset: [
      '(setenv "DOCKER_TLS_VERIFY" nil)',
      '(setenv "DOCKER_HOST" nil)',
      '(setenv "DOCKER_CERT_PATH" nil)',
      '(setenv "DOCKER_MACHINE_NAME" nil)',
    ],
  },
};

for (const [shell, {set, unset}] of Object.entries(expected)) {
  test(`env speaks ${shell}`, t => {
    if (!isShell(shell)) throw new Error(`${shell} is no shell`);
    t.deepEqual(renderEnvironment(shell, environment, command), set);
    t.deepEqual(renderUnset(shell, false, command).slice(0, 4), unset);
  });
}

test('a real shell takes the output by eval, set and unset', async t => {
  const lines = (text: string[]) => text.join('\n');
  const script = [
    lines(renderEnvironment('sh', {...environment, noProxy: 'a,127.0.0.1'}, command)),
    'echo "$DOCKER_TLS_VERIFY $DOCKER_HOST $DOCKER_CERT_PATH $DOCKER_MACHINE_NAME $NO_PROXY"',
    lines(renderUnset('sh', true, command)),
    'echo "${DOCKER_HOST-gone} ${NO_PROXY-gone}"',
  ];
  const {stdout} = await exec(['sh', '-eu', '-c', script.join('\n')], {timeoutMs: 10_000});
  t.is(stdout, '1 tcp://127.0.0.1:20201 /home/me/machines/web web a,127.0.0.1\ngone gone\n');
});

test('config prints docker’s own flags', t => {
  t.deepEqual(renderConfig(environment), [
    '--tlsverify',
    '--tlscacert="/home/me/machines/web/ca.pem"',
    '--tlscert="/home/me/machines/web/cert.pem"',
    '--tlskey="/home/me/machines/web/key.pem"',
    '-H=tcp://127.0.0.1:20201',
  ]);
});

test('the shell is taken from SHELL, and sh is spoken to what is unknown', t => {
  t.is(detectShell('/usr/bin/fish'), 'fish');
  t.is(detectShell('/bin/zsh'), 'zsh');
  t.is(detectShell('/bin/csh'), 'tcsh');
  t.is(detectShell('/opt/nu'), 'sh');
  t.is(detectShell(undefined), 'sh');
});

test('NO_PROXY gets the machine once', t => {
  t.is(extendNoProxy(undefined, 'h'), 'h');
  t.is(extendNoProxy('a,,b', 'h'), 'a,b,h');
  t.is(extendNoProxy('a,h', 'h'), 'a,h');
});
