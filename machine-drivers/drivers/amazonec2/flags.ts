/** docker-machine's flags of its amazonec2 driver, those that Hawser adds, and those that it refuses, as data. */
import type {Flag} from '../../../services/common/command.ts';

const secretsElsewhere =
  'keys on a command line are seen by every user of this host: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or name a profile with --amazonec2-profile';

/** Where and as whom: these also apply to `image publish --to aws`. */
export const connectionFlags: readonly Flag[] = [
  {
    name: 'amazonec2-region',
    type: 'string',
    env: 'AWS_DEFAULT_REGION',
    summary: "region; by default AWS_REGION, else the profile's, else us-east-1",
  },
  {
    name: 'amazonec2-profile',
    type: 'string',
    env: 'AWS_PROFILE',
    summary: 'profile of ~/.aws/config that the credentials come from (keys, SSO, roles, processes)',
  },
  {name: 'amazonec2-retries', type: 'integer', default: 5, summary: 'how often a call is tried again'},
  {name: 'amazonec2-endpoint', type: 'string', env: 'AWS_ENDPOINT', summary: "URL to use instead of AWS's"},
  {
    name: 'amazonec2-insecure-transport',
    type: 'boolean',
    env: 'AWS_INSECURE_TRANSPORT',
    summary: 'http instead of https, for an --amazonec2-endpoint that names neither',
  },
];

const machineFlags: readonly Flag[] = [
  {
    name: 'amazonec2-ami',
    type: 'string',
    env: 'AWS_AMI',
    summary: 'AMI; by default the newest that hawser image publish --to aws brought to the region',
  },
  {
    name: 'amazonec2-instance-type',
    type: 'string',
    env: 'AWS_INSTANCE_TYPE',
    default: 't3.micro',
    summary: 'instance type; it must boot by UEFI (all Nitro types do, t2 does not)',
  },
  {
    name: 'amazonec2-vpc-id',
    type: 'string',
    env: 'AWS_VPC_ID',
    summary: "VPC; the region's default VPC when absent",
  },
  {
    name: 'amazonec2-zone',
    type: 'string',
    env: 'AWS_ZONE',
    summary: 'availability zone, its letter or its name; by default the first that offers the type',
  },
  {
    name: 'amazonec2-subnet-id',
    type: 'string',
    env: 'AWS_SUBNET_ID',
    summary: 'subnet; it decides VPC and zone',
  },
  {
    name: 'amazonec2-security-group',
    type: 'list',
    env: 'AWS_SECURITY_GROUP',
    summary:
      'existing security group to use as it is, by name or id; without one the machine gets a group of its own',
  },
  {
    name: 'amazonec2-security-group-readonly',
    type: 'boolean',
    env: 'AWS_SECURITY_GROUP_READONLY',
    summary: 'accepted; groups that you name are never changed',
  },
  {
    name: 'amazonec2-allow-cidr',
    type: 'list',
    env: 'HAWSER_AMAZONEC2_ALLOW_CIDR',
    summary:
      'addresses that may reach SSH, Docker and the open ports; by default only your own (0.0.0.0/0 for all)',
  },
  {
    name: 'amazonec2-address-service',
    type: 'string',
    env: 'HAWSER_AMAZONEC2_ADDRESS_SERVICE',
    default: 'https://checkip.amazonaws.com',
    summary: 'where your own address is asked for when no --amazonec2-allow-cidr is given',
  },
  {
    name: 'amazonec2-open-port',
    type: 'list',
    summary: 'further port to open, for instance 80 or 53/udp',
  },
  {
    name: 'amazonec2-tags',
    type: 'string',
    env: 'AWS_TAGS',
    summary: 'tags for all resources: key1,value1,key2,value2',
  },
  {
    name: 'amazonec2-root-size',
    type: 'integer',
    env: 'AWS_ROOT_SIZE',
    default: 16,
    summary: 'size of the disk in GiB',
  },
  {
    name: 'amazonec2-volume-type',
    type: 'string',
    env: 'AWS_VOLUME_TYPE',
    default: 'gp3',
    summary: 'type of the disk',
  },
  {name: 'amazonec2-volume-iops', type: 'integer', summary: 'operations a second, for gp3, io1 and io2'},
  {name: 'amazonec2-volume-throughput', type: 'integer', summary: 'MiB a second, for gp3'},
  {name: 'amazonec2-encrypt-ebs-volume', type: 'boolean', summary: 'encrypt the disk'},
  {
    name: 'amazonec2-kms-key',
    type: 'string',
    summary: "key for --amazonec2-encrypt-ebs-volume; the account's own when absent",
  },
  {
    name: 'amazonec2-iam-instance-profile',
    type: 'string',
    env: 'AWS_INSTANCE_PROFILE',
    summary: 'instance profile, by name or ARN',
  },
  {
    name: 'amazonec2-ssh-port',
    type: 'integer',
    env: 'AWS_SSH_PORT',
    default: 22,
    summary: 'port of SSH on the machine',
  },
  {
    name: 'amazonec2-ssh-user',
    type: 'string',
    env: 'AWS_SSH_USER',
    summary: 'login, when the image has another one than Hawser makes',
  },
  {
    name: 'amazonec2-request-spot-instance',
    type: 'boolean',
    summary: 'a spot instance: cheaper, and AWS may end it',
  },
  {
    name: 'amazonec2-spot-price',
    type: 'string',
    summary: 'highest price an hour in dollars; the on-demand price when absent',
  },
  {name: 'amazonec2-private-address-only', type: 'boolean', summary: 'no public address'},
  {
    name: 'amazonec2-use-private-address',
    type: 'boolean',
    summary: 'reach the machine by its private address',
  },
  {name: 'amazonec2-ipv6', type: 'boolean', summary: 'an IPv6 address as well'},
  {
    name: 'amazonec2-ipv6-only',
    type: 'boolean',
    summary: 'no public IPv4 address; the machine is reached by IPv6',
  },
  {
    name: 'amazonec2-primary-ipv6',
    type: 'boolean',
    summary: 'the IPv6 address stays for the life of the machine',
  },
  {name: 'amazonec2-monitoring', type: 'boolean', summary: 'detailed monitoring'},
  {
    name: 'amazonec2-use-ebs-optimized-instance',
    type: 'boolean',
    summary: 'optimized for EBS, where a type is not always',
  },
  {
    name: 'amazonec2-metadata-token',
    type: 'string',
    default: 'required',
    summary: 'accepted as required only: the metadata service answers version 2 alone',
  },
  {
    name: 'amazonec2-metadata-token-response-hop-limit',
    type: 'integer',
    default: 1,
    summary: 'hops to the metadata service; with 1, containers do not reach it',
  },
];

const refusedFlags: readonly Flag[] = [
  {name: 'amazonec2-access-key', type: 'string', summary: 'refused', refused: secretsElsewhere},
  {name: 'amazonec2-secret-key', type: 'string', summary: 'refused', refused: secretsElsewhere},
  {name: 'amazonec2-session-token', type: 'string', summary: 'refused', refused: secretsElsewhere},
  {
    name: 'amazonec2-device-name',
    type: 'string',
    summary: 'refused',
    refused: 'the name of the root device is read from the AMI; leave the flag out',
  },
  {
    name: 'amazonec2-block-duration-minutes',
    type: 'integer',
    summary: 'refused',
    refused: 'AWS no longer offers spot instances for a fixed time; leave the flag out',
  },
  {
    name: 'amazonec2-ssh-keypath',
    type: 'string',
    summary: 'refused',
    refused: 'each machine has an SSH key of its own; add another one with --config',
  },
  {
    name: 'amazonec2-keypair-name',
    type: 'string',
    summary: 'refused',
    refused:
      'no key pair is made or used: the key comes with the first-boot configuration; add another one with --config',
  },
  {
    name: 'amazonec2-userdata',
    type: 'string',
    summary: 'refused',
    refused:
      'the user data is the first-boot configuration: give your own part of it with --config FILE (YAML or Ignition)',
  },
];

export const ec2Flags: readonly Flag[] = [...connectionFlags, ...machineFlags, ...refusedFlags];
