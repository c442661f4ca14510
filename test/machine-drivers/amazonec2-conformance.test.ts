/** The amazonec2 driver against moto, through a proxy that gives it what moto leaves out. */
import anyTest from 'ava';
import {conformance} from './conformance.ts';
import {openLab, shared} from './support/ec2/lab.ts';
import {accessKey, awsEnv, secretKey} from './support/ec2/proxy.ts';

const lab = await openLab();
const test = anyTest.serial;
if (lab === undefined) {
  test('SKIPPED: there is no Python to run moto with', t => t.pass());
} else {
  anyTest.after.always(() => lab[Symbol.asyncDispose]());
  conformance(test, {
    name: 'amazonec2',
    subject: async () => ({
      driver: lab.driver,
      settings: await lab.settings(),
      env: awsEnv,
      fresh: 'Running',
      shared,
      together: 20,
      secrets: [accessKey, secretKey],
      wrongCredentials: {env: {...awsEnv, AWS_ACCESS_KEY_ID: 'AKIANOBODY'}},
      questions: () => lab.proxy.count('DescribeInstances'),
      count: ({uuid}) => lab.count(uuid),
      vanish: ({uuid}) => lab.vanish(uuid),
    }),
  });
}
