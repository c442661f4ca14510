/** Everything that can be found wrong before something is made: credentials, place, who comes in, the request itself. */
import type {DriverContext} from '../../driver.ts';
import {awsCode} from './aws-errors.ts';
import {allowedNetworks} from './caller.ts';
import {openEc2} from './client.ts';
import {namedGroups} from './groups.ts';
import {launchRequest} from './launch.ts';
import {machineTags} from './names.ts';
import {asCheck, choosePlacement} from './placement.ts';
import {readSettings} from './settings.ts';
import {userDataOf} from './user-data.ts';

/** Throws by `checkFailed`. */
export async function checkBeforeCreation(given: unknown, context: DriverContext): Promise<void> {
  const settings = readSettings(given);
  try {
    const ec2 = await openEc2(settings.connection, context);
    const placement = await choosePlacement(ec2, settings, context);
    const named = settings.securityGroups;
    const groups = named.length === 0 ? [] : await namedGroups(ec2, placement.vpc, named);
    if (named.length === 0) await allowedNetworks(settings, context);
    const {ClientToken: _, ...request} = launchRequest({
      settings,
      placement,
      groups,
      tags: machineTags({uuid: '-', name: '-', generation: 1, resources: {}}, context.fleet, settings.tags),
      userData: userDataOf('{}'),
      token: '',
    });
    // AWS's own check: the identity may do it, and the parts fit each other. Quotas are not looked at.
    await ec2('start such an instance', (api, options) =>
      api.runInstances({...request, DryRun: true}, options),
    ).catch((error: unknown) => {
      if (awsCode(error) !== 'DryRunOperation') throw error;
    });
  } catch (error) {
    throw asCheck(error);
  }
}
