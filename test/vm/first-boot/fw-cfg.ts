/** Config by fw_cfg: everything that it may ask for, and that it is asked for once. */
import assert from 'node:assert/strict';
import {firstBootDone, fwCfg, configFor, file, healthy, initrdFailed, type Case} from './lab.ts';

// openssl passwd -6 -salt hawser berth
const passwordHash =
  '$6$hawser$ERGYsOB82gQnusuR5AGkJZ98Zdg5iiTncgoaRH7qr/a8/zF6ayfqalsZ0Qlr4HF09U8xTbu1thyFH8crn.5y1.';

export const fwCfgCase: Case = {
  name: 'fw-cfg',
  title: 'users, files, links, units by fw_cfg; the second boot changes nothing',
  limitSeconds: 600,
  async run(lab) {
    const machine = await lab.machine();
    const marker =
      '[Unit]\nDescription=marker\n[Service]\nType=oneshot\nExecStart=/usr/bin/sh -c "echo ran >> /var/lib/marker"\nRemainAfterExit=yes\n[Install]\nWantedBy=multi-user.target\n';
    const config = configFor(machine, {
      passwd: {
        groups: [{name: 'crew', gid: 1500}],
        users: [
          {name: 'core', groups: ['sudo', 'docker'], sshAuthorizedKeys: [machine.sshPublicKey]},
          {name: 'pat', uid: 1601, groups: ['crew'], passwordHash, shell: '/bin/sh', homeDir: '/home/pat'},
        ],
      },
      storage: {
        directories: [{path: '/srv/data', mode: 0o750, user: {name: 'pat'}, group: {name: 'crew'}}],
        files: [
          file('/etc/hostname', 'berth-7\n', {overwrite: true}),
          file('/srv/data/file', 'rope', {mode: 0o640, user: {name: 'pat'}, group: {id: 1500}}),
          file('/opt/bin/tool', '#!/bin/sh\n', {mode: 0o755}),
        ],
        links: [
          {path: '/srv/soft', target: '/srv/data/file'},
          {path: '/srv/hard', target: '/srv/data/file', hard: true},
        ],
      },
      systemd: {
        units: [
          {name: 'marker.service', enabled: true, contents: marker},
          {name: 'marker@.service', contents: marker.replaceAll('/marker', '/marker-%i')},
          {name: 'marker@one.service', enabled: true},
          {name: 'off.service', enabled: false, contents: marker.replaceAll('/marker', '/off')},
          {name: 'masked.service', mask: true},
          {name: 'systemd-timesyncd.service', enabled: false},
          {name: 'not-there.service', enabled: true},
          {
            name: 'docker.service',
            dropins: [{name: '10-test.conf', contents: '[Service]\nEnvironment=BERTH=7\n'}],
          },
        ],
      },
    });
    const path = await lab.config('config', config);
    const vm = await lab.boot(machine, {...fwCfg(path), cache: 'writeback'});
    const done = await vm.waitFor(firstBootDone, 200, initrdFailed);
    lab.note(`first boot done: ${done.wallSeconds.toFixed(0)} s wall, ${done.cpuSeconds.toFixed(0)} CPU s`);
    const up = await vm.waitFor(healthy, 240);
    lab.note(`healthy: ${up.wallSeconds.toFixed(0)} s wall, ${up.cpuSeconds.toFixed(0)} CPU s`);
    await vm.waitForSsh(60);

    const script = [
      'hostname',
      'sudo stat -c "%n %a %U %G" /srv/data /srv/data/file /opt/bin/tool',
      'sudo cat /srv/data/file; echo',
      'readlink /srv/soft; stat -c %h /srv/hard',
      'id pat; id core; sudo grep "^pat:" /etc/shadow | cut -d: -f2',
      'cat /var/lib/marker /var/lib/marker-one; test -e /var/lib/off || echo no-off',
      'systemctl is-enabled masked.service; systemctl is-active systemd-timesyncd.service',
      'systemctl show -p Environment --value docker.service',
      'systemctl --failed --no-legend --plain; systemctl is-system-running',
    ].join('\n');
    const facts = (await vm.ssh(script)).stdout;
    for (const expected of [
      /^berth-7$/m,
      /^\/srv\/data 750 pat crew$/m,
      /^\/srv\/data\/file 640 pat crew$/m,
      /^\/opt\/bin\/tool 755 root root$/m,
      /^rope$/m,
      /^\/srv\/data\/file\n2$/m,
      /^uid=1601\(pat\).*\(crew\)/m,
      /^ran\nran\nno-off$/m,
      /^masked\ninactive$/m,
      /BERTH=7/,
    ]) {
      assert.match(facts, expected);
    }
    assert.ok(facts.includes(passwordHash), 'the password hash is in the shadow file');
    assert.match(facts, /^(running|starting)$/m, `no unit failed:\n${facts}`);

    const identity =
      'cat /etc/machine-id; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; sudo stat -c %Y /etc/.ignition-result.json /srv/data/file';
    const before = (await vm.ssh(identity)).stdout;
    assert.match(before, /^[0-9a-f]{32}$/m);
    await vm.powerOff(90);

    const again = await lab.boot(machine, {...fwCfg(path), cache: 'writeback'});
    const second = await again.waitFor(healthy, 240, initrdFailed);
    lab.note(
      `second boot healthy: ${second.wallSeconds.toFixed(0)} s wall, ${second.cpuSeconds.toFixed(0)} CPU s`,
    );
    assert.doesNotMatch(again.console(), /hawser: first boot/, 'Ignition does not run again');
    await again.waitForSsh(60);
    assert.equal((await again.ssh(identity)).stdout, before, 'machine-id, host key and files stay');
    assert.equal(
      (await again.ssh('wc -l < /var/lib/marker')).stdout.trim(),
      '2',
      'the enabled unit runs at each boot',
    );
  },
};
