import {generateKeyPairSync} from 'node:crypto';
import test from 'ava';
import * as fc from 'fast-check';
import {exec} from '../../services/common/exec.ts';
import {createCsr} from '../../services/enrol-agent/csr.ts';
import {readCsr} from '../../services/provisioner/enrolment/csr.ts';
import {newKey} from '../provisioner/enrolment/support.ts';

test('OpenSSL reads the request, its name and its signature', async t => {
  const argv = ['openssl', 'req', '-verify', '-noout', '-subject', '-text'];
  const {stdout, stderr} = await exec(argv, {timeoutMs: 20_000, input: createCsr(newKey(), 'web-1')});
  t.regex(stderr, /verify OK/);
  t.regex(stdout, /subject=CN = web-1|subject=CN=web-1/);
  t.regex(stdout, /Version: 1 \(0x0\)/);
  t.regex(stdout, /NIST CURVE: P-256/);
});

test('the signer reads the request for every name, so all lengths are encoded right', async t => {
  const {privateKey} = generateKeyPairSync('ec', {namedCurve: 'P-384'});
  const keys = [newKey(), privateKey];
  await fc.assert(
    fc.asyncProperty(fc.string({maxLength: 300}), fc.constantFrom(...keys), async (name, key) => {
      t.is((await readCsr(createCsr(key, name))).kind, 'ec');
    }),
    {numRuns: 40},
  );
});
