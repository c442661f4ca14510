/** VPC, zone and subnet of a machine. */
import type {Subnet} from '@aws-sdk/client-ec2';
import {checkFailed} from '../../errors.ts';
import type {Ec2} from './client.ts';
import type {Ec2Settings} from './settings.ts';

/** The subnet given, else the first that fits: the same each time. Throws by `checkFailed`. */
export async function chooseSubnet(ec2: Ec2, settings: Ec2Settings): Promise<Subnet> {
  const {subnet, vpc, zone, instanceType, ipv6, connection} = settings;
  if (subnet !== undefined) {
    const {Subnets} = await ec2(`find the subnet ${subnet}`, (api, options) =>
      api.describeSubnets({SubnetIds: [subnet]}, options),
    );
    const [found] = Subnets ?? [];
    if (found === undefined || (vpc !== undefined && found.VpcId !== vpc)) {
      throw checkFailed(
        `there is no subnet ${subnet} in ${vpc ?? connection.region}`,
        'check --amazonec2-subnet-id and --amazonec2-vpc-id',
      );
    }
    if (zone !== undefined && found.AvailabilityZone !== zone)
      throw checkFailed(`the subnet ${subnet} is in ${found.AvailabilityZone}`, 'leave out --amazonec2-zone');
    return requireIpv6(found, ipv6);
  }
  const network = vpc ?? (await defaultVpc(ec2, connection.region));
  const offering = await zonesOf(ec2, instanceType);
  const {Subnets} = await ec2(`look at the subnets of ${network}`, (api, options) =>
    api.describeSubnets({Filters: [{Name: 'vpc-id', Values: [network]}]}, options),
  );
  const candidates = (Subnets ?? [])
    .filter(one => zone === undefined || one.AvailabilityZone === zone)
    .filter(one => one.State === undefined || one.State === 'available');
  const fitting = candidates
    .filter(one => offering.has(one.AvailabilityZone ?? ''))
    .sort((a, b) => rank(a).localeCompare(rank(b)));
  const chosen = fitting.find(one => !ipv6 || hasIpv6(one)) ?? fitting[0];
  if (chosen !== undefined) return requireIpv6(chosen, ipv6);
  if (candidates.length > 0) {
    throw checkFailed(
      `no zone with a subnet of ${network} offers ${instanceType}`,
      `it is offered in ${[...offering].sort().join(', ') || 'no zone of the region'}: choose another --amazonec2-instance-type`,
    );
  }
  throw checkFailed(
    `${network} has no subnet${zone === undefined ? '' : ` in ${zone}`}`,
    'make one, or give --amazonec2-subnet-id',
  );
}

/** The zone's default subnet first, then by zone and id: the same each time. */
function rank(subnet: Subnet): string {
  return `${subnet.DefaultForAz === true ? 0 : 1} ${subnet.AvailabilityZone} ${subnet.SubnetId}`;
}

function hasIpv6(subnet: Subnet): boolean {
  return (subnet.Ipv6CidrBlockAssociationSet ?? []).length > 0;
}

function requireIpv6(subnet: Subnet, wanted: boolean): Subnet {
  if (!wanted || hasIpv6(subnet)) return subnet;
  throw checkFailed(
    `the subnet ${subnet.SubnetId} has no IPv6 addresses`,
    'give the VPC and the subnet an IPv6 block, or leave out --amazonec2-ipv6',
  );
}

async function defaultVpc(ec2: Ec2, region: string): Promise<string> {
  const {Vpcs} = await ec2('find the default VPC', (api, options) =>
    api.describeVpcs({Filters: [{Name: 'is-default', Values: ['true']}]}, options),
  );
  const id = Vpcs?.[0]?.VpcId;
  if (id !== undefined) return id;
  throw checkFailed(`${region} has no default VPC`, 'give --amazonec2-vpc-id or --amazonec2-subnet-id');
}

/** Names of the zones that offer the type. */
async function zonesOf(ec2: Ec2, type: string): Promise<ReadonlySet<string>> {
  const {InstanceTypeOfferings} = await ec2(`ask where ${type} is offered`, (api, options) =>
    api.describeInstanceTypeOfferings(
      {LocationType: 'availability-zone', Filters: [{Name: 'instance-type', Values: [type]}]},
      options,
    ),
  );
  return new Set((InstanceTypeOfferings ?? []).flatMap(one => one.Location ?? []));
}
