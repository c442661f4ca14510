/** The amazonec2 driver: a machine is an instance with its own security group, found again by its tags. */
import type {Driver, DriverMachine, Endpoint} from '../../driver.ts';
import {checkBeforeCreation} from './check.ts';
import {openEc2, placeOf} from './client.ts';
import {destroyMachine} from './destroy.ts';
import {ec2Flags} from './flags.ts';
import {findMachines} from './found.ts';
import {instancesByTag, newestByUuid, observationOf} from './instances.ts';
import {tagKeys, text} from './names.ts';
import {killInstance, startInstance, stopInstance} from './power.ts';
import {awsPublisher} from './publish/publisher.ts';
import {configureEc2, readSettings} from './settings.ts';
import {ec2Steps, ensureStep} from './steps.ts';

const DOCKER_PORT = 2376;
const DEFAULT_LOGIN = 'core';

export const amazonec2Driver: Driver = {
  name: 'amazonec2',
  summary: 'virtual machines of AWS EC2',
  sizeFlag: 'amazonec2-instance-type',
  flags: ec2Flags,
  // Enough to make a fleet in a few minutes, and below the rate at which EC2 begins to throttle.
  parallel: 10,
  configure: configureEc2,
  preCreateCheck: checkBeforeCreation,
  login: settings => readSettings(settings).sshUser ?? DEFAULT_LOGIN,
  plan: () => ec2Steps,
  ensure: ensureStep,
  place: settings => placeOf(readSettings(settings).connection),
  observe: async (machines, context) => {
    const [first] = machines;
    if (first === undefined) return new Map();
    const ec2 = await openEc2(readSettings(first.settings).connection, context);
    const uuids = machines.map(machine => machine.uuid);
    const instances = newestByUuid(await instancesByTag(ec2, tagKeys.uuid, uuids));
    return new Map([...instances].map(([uuid, instance]) => [uuid, observationOf(instance)]));
  },
  start: startInstance,
  stop: stopInstance,
  kill: killInstance,
  destroy: destroyMachine,
  endpoint: endpointOf,
  list: findMachines,
  publisher: awsPublisher,
};

function endpointOf(machine: DriverMachine): Endpoint | undefined {
  const {reach, sshPort} = readSettings(machine.settings);
  const name = {public: 'publicAddress', private: 'privateAddress', ipv6: 'ipv6Address'}[reach];
  const host = text(machine.resources, name);
  if (host === '') return undefined;
  const privateAddress = text(machine.resources, 'privateAddress');
  return {
    ssh: {host, port: sshPort},
    docker: {host, port: DOCKER_PORT},
    ...(privateAddress === '' ? {} : {privateAddress}),
  };
}
