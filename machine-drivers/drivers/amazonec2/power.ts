/** Start, stop and kill of an instance. */
import type {DriverHost, DriverMachine, Resources} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {awsCode} from './aws-errors.ts';
import {openEc2, type Ec2} from './client.ts';
import {addressesOf, awaitState, instancesByTag, isUsable, stateName} from './instances.ts';
import {tagKeys} from './names.ts';
import {readSettings} from './settings.ts';
import {ensureFirewall} from './steps.ts';

/** Returns the addresses, which are new after each stop. */
export async function startInstance(machine: DriverMachine, host: DriverHost): Promise<Resources> {
  const {ec2, id, settings} = await theInstance(machine, host);
  const firewall = await ensureFirewall({ec2, settings, machine, host}).catch((error: unknown) => {
    // Its rules stay as they were, which is right wherever the operator's address is still the same.
    if (!(error instanceof MachineError) || error.code !== 'check-failed') throw error;
    host.report(error.message);
    return {};
  });
  try {
    await ec2(`start the instance ${id}`, (api, options) => api.startInstances({InstanceIds: [id]}, options));
  } catch (error) {
    // It may have been started, and the answer lost.
    if (awsCode(error) !== 'IncorrectInstanceState') throw error;
  }
  const started = await awaitState(ec2, id, 'running', host, detail => host.report(detail));
  return {...firewall, ...(started === undefined ? {} : addressesOf(started))};
}

/** Asks the system to shut down; EC2 cuts the power when `graceSeconds` are over. */
export async function stopInstance(
  machine: DriverMachine,
  host: DriverHost,
  graceSeconds: number,
): Promise<void> {
  const {ec2, id} = await theInstance(machine, host);
  await requestStop(ec2, id, false);
  try {
    await awaitState(ec2, id, 'stopped', host, detail => host.report(detail), graceSeconds * 1000);
    return;
  } catch (error) {
    if (!(error instanceof MachineError) || error.code !== 'driver-failed') throw error;
    host.report(`it did not shut down within ${graceSeconds} s; cutting the power`);
  }
  await requestStop(ec2, id, true);
  await awaitState(ec2, id, 'stopped', host, detail => host.report(detail));
}

export async function killInstance(machine: DriverMachine, host: DriverHost): Promise<void> {
  const {ec2, id, state} = await theInstance(machine, host);
  if (state === 'stopped') return;
  await requestStop(ec2, id, true);
  await awaitState(ec2, id, 'stopped', host, detail => host.report(detail));
}

async function requestStop(ec2: Ec2, id: string, force: boolean): Promise<void> {
  try {
    await ec2(`stop the instance ${id}`, (api, options) =>
      api.stopInstances({InstanceIds: [id], Force: force}, options),
    );
  } catch (error) {
    if (awsCode(error) !== 'UnsupportedOperation' || !(error instanceof MachineError)) throw error;
    throw new MachineError('driver-failed', error.message, {
      remedy: 'a spot instance cannot be stopped, only removed',
      cause: error,
    });
  }
}

async function theInstance(machine: DriverMachine, host: DriverHost) {
  const settings = readSettings(machine.settings);
  const ec2 = await openEc2(settings.connection, host);
  const found = (await instancesByTag(ec2, tagKeys.uuid, [machine.uuid])).find(isUsable);
  if (found?.InstanceId === undefined) {
    throw new MachineError('driver-failed', `the instance of "${machine.name}" exists no more`, {
      remedy: `remove what is left with hawser machine rm ${machine.name}`,
    });
  }
  return {ec2, settings, id: found.InstanceId, state: stateName(found)};
}
