/** Config by the network: replace and merge, a server that is not ready yet, TLS with an authority of our own. */
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {configFor, file, firstBootDone, fwCfg, initrdFailed, type Case} from './lab.ts';
import {makeAuthority, serve} from './local-server.ts';

const address = '10.0.2.100';

export const networkCase: Case = {
  name: 'network',
  title: 'replace by http (503 first), merge and a file by https with its own authority',
  limitSeconds: 420,
  async run(lab) {
    const machine = await lab.machine();
    const authority = await makeAuthority(lab, address);
    const seen: string[] = [];
    let refusals = 0;
    const text = 'fetched\n'.repeat(100);
    const first = {
      ignition: {
        version: '3.3.0',
        config: {merge: [{source: `https://${address}/merged.ign`}]},
        security: {
          tls: {
            certificateAuthorities: [
              {source: `data:;base64,${Buffer.from(authority.caPem).toString('base64')}`},
            ],
          },
        },
      },
      storage: {files: [file('/etc/hostname', 'from-replace\n', {overwrite: true})]},
    };
    const digest = createHash('sha512').update(text).digest('hex');
    const merged = configFor(machine, {
      storage: {
        files: [
          {
            path: '/srv/fetched',
            contents: {
              source: `https://${address}/file.gz`,
              compression: 'gzip',
              verification: {hash: `sha512-${digest}`},
              httpHeaders: [{name: 'Authorization', value: 'Bearer rope'}],
            },
          },
        ],
      },
    });
    const http = await serve(lab, address, 80, (request, response) => {
      seen.push(`http ${request.url}`);
      refusals += 1;
      if (refusals <= 3) response.writeHead(503).end();
      else response.end(JSON.stringify(first));
    });
    const https = await serve(
      lab,
      address,
      443,
      (request, response) => {
        seen.push(`https ${request.url}`);
        if (request.url === '/merged.ign') response.end(JSON.stringify(merged));
        else if (request.headers.authorization === 'Bearer rope') response.end(gzipSync(text));
        else response.writeHead(403).end();
      },
      authority,
    );
    const pointer = await lab.config('pointer', {
      ignition: {version: '3.3.0', config: {replace: {source: `http://${address}/first.ign`}}},
    });
    const vm = await lab.boot(machine, {...fwCfg(pointer), network: [http, https]});
    const network = await vm.waitFor(/bringing up the network/, 120, initrdFailed);
    const fetched = await vm.waitFor(/hawser: first boot: stage files/, 180, initrdFailed);
    lab.note(
      `network and fetch: ${(fetched.wallSeconds - network.wallSeconds).toFixed(0)} s wall, ${(fetched.cpuSeconds - network.cpuSeconds).toFixed(0)} CPU s`,
    );
    await vm.waitFor(firstBootDone, 120, initrdFailed);
    assert.deepEqual(seen, [
      ...Array<string>(4).fill('http /first.ign'),
      'https /merged.ign',
      'https /file.gz',
    ]);
    await vm.waitForSsh(150);
    const facts = (await vm.ssh('hostname; sha512sum < /srv/fetched; systemctl is-active systemd-networkd'))
      .stdout;
    assert.equal(facts, `from-replace\n${digest}  -\nactive\n`);
  },
};
