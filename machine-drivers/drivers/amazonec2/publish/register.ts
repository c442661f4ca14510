/** The AMI over a snapshot: by UEFI, with TPM and our Secure Boot keys, metadata service version 2 alone. */
import type {Image, RegisterImageCommandInput} from '@aws-sdk/client-ec2';
import {MachineError} from '../../../errors.ts';
import {awsCode} from '../aws-errors.ts';
import type {Ec2} from '../client.ts';
import type {Tag} from '../names.ts';
import {until, type Waiting} from '../wait.ts';

const AVAILABLE_WITHIN_MS = 900_000;
const ROOT_DEVICE = '/dev/xvda';

export interface ImageWish {
  /** 3 to 128 characters; an account has each name once in a region. */
  readonly name: string;
  readonly description: string;
  readonly snapshot: string;
  readonly gib: number;
  /** Base64; absent for an unsigned image. */
  readonly uefiData: string | undefined;
  readonly tags: readonly Tag[];
}

/** Pure. */
export function registration(wish: ImageWish): RegisterImageCommandInput {
  return {
    Name: wish.name,
    Description: wish.description,
    Architecture: 'x86_64',
    VirtualizationType: 'hvm',
    RootDeviceName: ROOT_DEVICE,
    BlockDeviceMappings: [
      {
        DeviceName: ROOT_DEVICE,
        Ebs: {SnapshotId: wish.snapshot, VolumeSize: wish.gib, VolumeType: 'gp3', DeleteOnTermination: true},
      },
    ],
    EnaSupport: true,
    SriovNetSupport: 'simple',
    BootMode: 'uefi',
    ImdsSupport: 'v2.0',
    TpmSupport: 'v2.0',
    ...(wish.uefiData === undefined ? {} : {UefiData: wish.uefiData}),
    TagSpecifications: [{ResourceType: 'image', Tags: [...wish.tags]}],
  };
}

/** Our AMIs with that tag that can be started from, or soon will. */
export async function findImages(ec2: Ec2, tag: Tag): Promise<readonly Image[]> {
  const {Images} = await ec2('look for the AMI', (api, options) =>
    api.describeImages({Owners: ['self'], Filters: [{Name: `tag:${tag.Key}`, Values: [tag.Value]}]}, options),
  );
  return (Images ?? []).filter(image => image.State !== 'failed' && image.State !== 'invalid');
}

/** Registers, waits until it is available, and checks that AWS keeps what was asked for. Returns the AMI's id. */
export async function registerImage(ec2: Ec2, wish: ImageWish, waiting: Waiting): Promise<string> {
  const id = await register(ec2, wish);
  let image: Image | undefined;
  await until(waiting, AVAILABLE_WITHIN_MS, async () => {
    const {Images} = await ec2(`look at the AMI ${id}`, (api, options) =>
      api.describeImages({Filters: [{Name: 'image-id', Values: [id]}]}, options),
    );
    image = Images?.[0];
    return image?.State === 'available' || image?.State === 'failed';
  });
  if (image?.State !== 'available')
    throw new MachineError('driver-failed', `the AMI ${id} is ${image?.State ?? 'unknown'}`, {
      remedy: 'publish again',
    });
  const kept = {boot: image.BootMode, metadata: image.ImdsSupport, tpm: image.TpmSupport};
  if (kept.boot === 'uefi' && kept.metadata === 'v2.0' && kept.tpm === 'v2.0') return id;
  await ec2(`remove the AMI ${id}`, (api, options) => api.deregisterImage({ImageId: id}, options));
  throw new MachineError(
    'driver-failed',
    `AWS did not register the AMI ${id} as asked: ${JSON.stringify(kept)}`,
    {
      context: {differs: true},
    },
  );
}

async function register(ec2: Ec2, wish: ImageWish): Promise<string> {
  try {
    const {ImageId} = await ec2('register the AMI', (api, options) =>
      api.registerImage(registration(wish), options),
    );
    return ImageId ?? '';
  } catch (error) {
    // RegisterImage has no token: an earlier call may have been carried out and its answer lost.
    if (awsCode(error) !== 'InvalidAMIName.Duplicate') throw error;
    const {Images} = await ec2('find the AMI of that name', (api, options) =>
      api.describeImages({Owners: ['self'], Filters: [{Name: 'name', Values: [wish.name]}]}, options),
    );
    const id = Images?.[0]?.ImageId;
    if (id === undefined) throw error;
    return id;
  }
}
