/** The generic driver against a real sshd on the loopback. */
import {join} from 'node:path';
import anyTest from 'ava';
import {genericDriver} from '../../machine-drivers/drivers/generic/index.ts';
import {conformance} from './conformance.ts';
import {startLoopbackHost, whyNoLoopbackHost} from './support/loopback-host.ts';

const missing = await whyNoLoopbackHost();

if (missing === undefined) {
  conformance(anyTest.serial, {
    name: 'generic',
    subject: async (t, home) => {
      const host = await startLoopbackHost(t, join(home, 'host'), 'none');
      const settings = {
        host: '127.0.0.1',
        sshPort: host.port,
        dockerPort: 1,
        user: 'root',
        key: host.key,
        hostKey: host.hostKey,
      };
      return {
        driver: genericDriver,
        settings,
        fresh: 'Running',
        slow: true,
        power: false,
        vanished: 'needs-force',
        count: async ({uuid}) => ({
          logins: (await host.authorizedKeys()).filter(line => line.includes(uuid)).length,
        }),
        vanish: () => host.stop(),
        wrongCredentials: {settings: {...settings, user: 'nobody-there'}},
      };
    },
  });
} else {
  anyTest(`SKIPPED: ${missing}, so the generic driver was not tried`, t => t.pass());
}
