/** Serves enrolment over HTTPS: `node services/provisioner/enrolment/main.ts`. Settings: README.md. */
import process from 'node:process';
import {systemClock} from '../../common/clock.ts';
import {describeError} from '../../common/errors.ts';
import {resolvePaths} from '../../common/paths.ts';
import {buildApp} from './app.ts';
import {openEnrolment} from './index.ts';

async function serve(): Promise<void> {
  // Loopback until the operator says otherwise (DESIGN D13).
  const host = process.env['HAWSER_ENROL_HOST'] ?? '127.0.0.1';
  const port = Number(process.env['HAWSER_ENROL_PORT'] ?? '8443');
  const names = (process.env['HAWSER_ENROL_NAMES'] ?? '').split(',').filter(name => name !== '');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error('HAWSER_ENROL_PORT is not a port: give a number between 0 and 65535');
  }
  const enrolment = await openEnrolment({home: resolvePaths(process.env).home, clock: systemClock});
  const app = buildApp(await enrolment.deps(), {
    tls: await enrolment.serverCertificate(names),
    logger: {level: 'info'},
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close());
  await app.listen({host, port});
}

try {
  await serve();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
