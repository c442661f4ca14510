/** Everything that can be found wrong with a new machine before something of it is made. */
import type {DriverContext} from '../../driver.ts';
import {CHECK_FAILED_EXIT, MachineError} from '../../errors.ts';
import {callerNetwork} from './caller.ts';
import {computeLimits} from './client/compute.ts';
import {networkQuota} from './client/network.ts';
import type {Session} from './client/session.ts';
import {withSession} from './connect.ts';
import {lookUp} from './lookup.ts';
import type {Ingredients} from './lookup.ts';
import type {OpenStackSettings} from './settings.ts';

/** Throws MachineError with docker-machine's exit code for a failed check. */
export async function checkBefore(settings: OpenStackSettings, context: DriverContext): Promise<void> {
  try {
    await withSession(settings.access, context, async session => {
      if (settings.groups === undefined) allowedNetworks(settings, session);
      const ingredients = await lookUp(session, settings, context.paths);
      await checkQuota(session, settings, ingredients);
    });
  } catch (error) {
    if (!(error instanceof MachineError) || error.code === 'interrupted') throw error;
    const {code, message, remedy, cause} = error;
    throw new MachineError(code, message, {
      ...(remedy === undefined ? {} : {remedy}),
      cause,
      context: {exitCode: CHECK_FAILED_EXIT},
    });
  }
}

/** Who may reach SSH and Docker where the group is our own. */
export function allowedNetworks(
  {allow, ipVersion}: OpenStackSettings,
  {callers}: Session,
): readonly string[] {
  if (allow.length > 0) return allow;
  const caller = callerNetwork(callers, ipVersion);
  if (caller !== undefined) return [caller];
  throw new MachineError('bad-setting', 'the address by which the cloud sees this host is not known here', {
    remedy: 'say who may reach SSH and Docker, for instance --openstack-allow-cidr 203.0.113.7/32',
  });
}

async function checkQuota(
  session: Session,
  {floatingPool}: OpenStackSettings,
  {flavor}: Ingredients,
): Promise<void> {
  const [limits, ports, floating] = await Promise.all([
    computeLimits(session),
    networkQuota(session, 'port'),
    floatingPool === undefined ? undefined : networkQuota(session, 'floatingip'),
  ]);
  const wanted: ReadonlyArray<readonly [string, number, {limit: number; used: number} | undefined]> = [
    ['servers', 1, {limit: limits.maxTotalInstances, used: limits.totalInstancesUsed}],
    ['processors', flavor.vcpus, {limit: limits.maxTotalCores, used: limits.totalCoresUsed}],
    ['MiB of memory', flavor.ram, {limit: limits.maxTotalRAMSize, used: limits.totalRAMUsed}],
    ['ports', 1, ports],
    ['floating addresses', 1, floating],
  ];
  for (const [what, more, quota] of wanted) {
    if (quota === undefined || quota.limit < 0 || quota.used + more <= quota.limit) continue;
    throw new MachineError(
      'quota',
      `the project may have ${quota.limit} ${what}, has ${quota.used}, and this machine needs ${more} more`,
      {remedy: "remove machines that are not needed, or ask the cloud's operator for a larger quota"},
    );
  }
}
