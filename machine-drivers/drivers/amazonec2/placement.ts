/** Where a machine is to be: image, VPC, subnet and zone, found by questions only. Each wrong setting has its own error. */
import type {Image, InstanceTypeInfo} from '@aws-sdk/client-ec2';
import {listPublished} from '../../../services/common/published-images.ts';
import type {DriverContext} from '../../driver.ts';
import {checkFailed, MachineError} from '../../errors.ts';
import {awsCode} from './aws-errors.ts';
import {placeOf, type Ec2} from './client.ts';
import {builtRootHash} from './built-image.ts';
import type {Ec2Settings} from './settings.ts';
import {chooseSubnet} from './subnet.ts';

/** Kept in the ledger: a creation that is taken up again asks for the same machine. */
export interface Placement {
  readonly ami: string;
  /** The AMI's name for its root device, for instance /dev/xvda. */
  readonly rootDevice: string;
  readonly vpc: string;
  readonly subnet: string;
  readonly zone: string;
}

/** Throws by `checkFailed`, and what AWS refuses. */
export async function choosePlacement(
  ec2: Ec2,
  settings: Ec2Settings,
  context: Pick<DriverContext, 'paths'>,
): Promise<Placement> {
  const image = await findImage(ec2, await chooseAmi(settings, context), settings);
  await checkType(ec2, settings, image);
  const subnet = await chooseSubnet(ec2, settings);
  return {
    ami: image.ImageId ?? '',
    rootDevice: image.RootDeviceName ?? '',
    vpc: subnet.VpcId ?? '',
    subnet: subnet.SubnetId ?? '',
    zone: subnet.AvailabilityZone ?? '',
  };
}

async function chooseAmi(settings: Ec2Settings, {paths}: Pick<DriverContext, 'paths'>): Promise<string> {
  if (settings.ami !== undefined) return settings.ami;
  const {region} = settings.connection;
  const published = await listPublished(paths.home, 'amazonec2', placeOf(settings.connection));
  const rootHash = settings.image === undefined ? undefined : await builtRootHash(settings.image);
  const found = published.find(one => rootHash === undefined || one.rootHash === rootHash);
  if (found !== undefined) return found.reference;
  const which = settings.image === undefined ? 'no image of yours' : `the image ${settings.image} not yet`;
  throw checkFailed(
    `there is ${which} in ${region}`,
    `publish it with hawser image publish --to aws --amazonec2-region ${region}, or give --amazonec2-ami`,
  );
}

async function findImage(ec2: Ec2, ami: string, settings: Ec2Settings): Promise<Image> {
  const {Images} = await ec2(`find the AMI ${ami}`, (api, options) =>
    api.describeImages({ImageIds: [ami]}, options),
  );
  const image = Images?.[0];
  if (image?.RootDeviceName === undefined)
    throw checkFailed(
      `there is no AMI ${ami} in ${settings.connection.region}`,
      'publish the image to this region with hawser image publish --to aws, or give another --amazonec2-ami',
    );
  if (image.State !== undefined && image.State !== 'available')
    throw checkFailed(`the AMI ${ami} is ${image.State}`, 'wait until it is available, or give another one');
  const least = Math.max(0, ...(image.BlockDeviceMappings ?? []).map(one => one.Ebs?.VolumeSize ?? 0));
  if (settings.disk.gib < least)
    throw checkFailed(
      `the AMI ${ami} needs a disk of ${least} GiB`,
      `give --amazonec2-root-size ${least} or more`,
    );
  return image;
}

async function checkType(ec2: Ec2, {instanceType, connection}: Ec2Settings, image: Image): Promise<void> {
  const info = await describeType(ec2, instanceType, connection.region);
  const architectures = (info.ProcessorInfo?.SupportedArchitectures ?? []).map(String);
  const architecture: string = image.Architecture ?? 'x86_64';
  if (architectures.length > 0 && !architectures.includes(architecture)) {
    throw checkFailed(
      `${instanceType} is ${architectures.join(', ')}, the image is ${architecture}`,
      'choose another --amazonec2-instance-type',
    );
  }
  const boots = (info.SupportedBootModes ?? []).map(String);
  if (image.BootMode === 'uefi' && boots.length > 0 && !boots.includes('uefi')) {
    throw checkFailed(
      `${instanceType} does not boot by UEFI, as the image must`,
      'choose a Nitro type as --amazonec2-instance-type, for instance t3.micro',
    );
  }
  if (image.TpmSupport !== undefined && (info.NitroTpmSupport ?? 'supported') !== 'supported') {
    throw checkFailed(
      `${instanceType} has no TPM, which the image asks for`,
      'choose another --amazonec2-instance-type',
    );
  }
}

async function describeType(ec2: Ec2, type: string, region: string): Promise<InstanceTypeInfo> {
  const unknown = (cause?: unknown) =>
    checkFailed(
      `there is no instance type ${type} in ${region}`,
      'give one that the region has as --amazonec2-instance-type, for instance t3.micro',
      cause,
    );
  try {
    const {InstanceTypes} = await ec2(`find the instance type ${type}`, (api, options) =>
      api.describeInstanceTypes(
        {InstanceTypes: [type as InstanceTypeInfo['InstanceType'] & string]},
        options,
      ),
    );
    const info = InstanceTypes?.[0];
    if (info === undefined) throw unknown();
    return info;
  } catch (error) {
    if (awsCode(error) === 'InvalidInstanceType') throw unknown(error);
    throw error;
  }
}

/** A check fails with exit code 3 whatever AWS's reason was. */
export function asCheck(error: unknown): unknown {
  if (!(error instanceof MachineError) || error.code === 'interrupted' || error.code === 'check-failed')
    return error;
  return checkFailed(error.message, error.remedy ?? 'see the message', error);
}
