import {readFile} from 'node:fs/promises';
import {X509Certificate} from 'node:crypto';
import {join} from 'node:path';
import test from 'ava';
import {ensureClientCertificate} from '../../machine-drivers/docker/certificate.ts';
import {systemClock} from '../../services/common/clock.ts';
import {openEnrolment} from '../../services/provisioner/enrolment/index.ts';
import {stubRuntime, temporaryFolder} from './support/runtime.ts';

const DAY_MS = 24 * 3600 * 1000;

test('a client certificate with a week left is replaced when it is next needed, not before', async t => {
  const home = await temporaryFolder(t);
  let now = Date.now();
  const clock = {...systemClock, now: () => new Date(now)};
  const enrolment = await openEnrolment({home, clock});
  const runtime = {...stubRuntime(home), clock, enrolment: () => Promise.resolve(enrolment)};
  const ensure = async () => {
    await ensureClientCertificate(runtime, home, 'tester');
    return new X509Certificate(await readFile(join(home, 'cert.pem')));
  };
  const first = await ensure();
  now = first.validToDate.getTime() - 8 * DAY_MS;
  t.is((await ensure()).serialNumber, first.serialNumber);
  now = first.validToDate.getTime() - 6 * DAY_MS;
  const second = await ensure();
  t.not(second.serialNumber, first.serialNumber);
  t.true(second.validToDate.getTime() > now + 30 * DAY_MS);
});
