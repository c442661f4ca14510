/** What an openstack machine can be told: docker-machine's flags, each taken or refused with a reason, and ours. */
import type {Flag} from '../../../services/common/command.ts';

/** How the cloud is entered. Their OS_* variables are read by `client/cloud-config.ts`: a named cloud comes first. */
export const cloudFlags: readonly Flag[] = [
  {name: 'openstack-cloud', type: 'string', env: 'OS_CLOUD', summary: 'a cloud of clouds.yaml'},
  {name: 'openstack-auth-url', type: 'string', summary: 'Keystone (OS_AUTH_URL)'},
  {name: 'openstack-username', type: 'string', summary: 'OS_USERNAME; the password is in OS_PASSWORD'},
  {name: 'openstack-project-id', type: 'string', summary: 'OS_PROJECT_ID'},
  {name: 'openstack-project-name', type: 'string', summary: 'OS_PROJECT_NAME'},
  {name: 'openstack-tenant-id', type: 'string', summary: 'the older word for a project'},
  {name: 'openstack-tenant-name', type: 'string', summary: 'the older word for a project'},
  {name: 'openstack-user-domain-id', type: 'string', summary: 'OS_USER_DOMAIN_ID'},
  {name: 'openstack-user-domain-name', type: 'string', summary: 'OS_USER_DOMAIN_NAME'},
  {name: 'openstack-project-domain-id', type: 'string', summary: 'OS_PROJECT_DOMAIN_ID'},
  {name: 'openstack-project-domain-name', type: 'string', summary: 'OS_PROJECT_DOMAIN_NAME'},
  {name: 'openstack-domain-id', type: 'string', summary: "user's and project's domain (OS_DOMAIN_ID)"},
  {name: 'openstack-domain-name', type: 'string', summary: "user's and project's domain (OS_DOMAIN_NAME)"},
  {
    name: 'openstack-application-credential-id',
    type: 'string',
    summary: 'OS_APPLICATION_CREDENTIAL_ID; its secret is in OS_APPLICATION_CREDENTIAL_SECRET',
  },
  {
    name: 'openstack-application-credential-name',
    type: 'string',
    summary: 'OS_APPLICATION_CREDENTIAL_NAME',
  },
  {name: 'openstack-region', type: 'string', summary: 'OS_REGION_NAME'},
  {
    name: 'openstack-endpoint-type',
    type: 'string',
    summary: 'public, internal or admin (OS_INTERFACE, OS_ENDPOINT_TYPE)',
  },
  {name: 'openstack-cacert', type: 'string', summary: "PEM file of the cloud's authority (OS_CACERT)"},
  {
    name: 'openstack-insecure',
    type: 'boolean',
    summary: "do not check the cloud's certificate (OS_INSECURE)",
  },
  {
    name: 'openstack-password',
    type: 'string',
    summary: '',
    refused:
      'a password in the command line is seen by everyone on this host, and Hawser keeps none: set OS_PASSWORD, or write it into clouds.yaml or secure.yaml',
  },
];

/** The key of clouds.yaml that each flag stands for. The first of two that are given counts. */
export const cloudFlagKeys: Readonly<Record<string, readonly string[]>> = {
  auth_url: ['openstack-auth-url'],
  username: ['openstack-username'],
  project_id: ['openstack-project-id', 'openstack-tenant-id'],
  project_name: ['openstack-project-name', 'openstack-tenant-name'],
  user_domain_id: ['openstack-user-domain-id'],
  user_domain_name: ['openstack-user-domain-name'],
  project_domain_id: ['openstack-project-domain-id'],
  project_domain_name: ['openstack-project-domain-name'],
  domain_id: ['openstack-domain-id'],
  domain_name: ['openstack-domain-name'],
  application_credential_id: ['openstack-application-credential-id'],
  application_credential_name: ['openstack-application-credential-name'],
  region_name: ['openstack-region'],
  interface: ['openstack-endpoint-type'],
  cacert: ['openstack-cacert'],
};

export const DEFAULT_SSH_PORT = 22;
export const DEFAULT_ACTIVE_SECONDS = 200;

const machineFlags: readonly Flag[] = [
  {name: 'openstack-flavor-name', type: 'string', env: 'OS_FLAVOR_NAME', summary: 'size of the machine'},
  {name: 'openstack-flavor-id', type: 'string', env: 'OS_FLAVOR_ID', summary: 'size of the machine, by id'},
  {
    name: 'openstack-image-name',
    type: 'string',
    env: 'OS_IMAGE_NAME',
    summary: 'image of Glance; the one that hawser image publish put there last when absent',
  },
  {name: 'openstack-image-id', type: 'string', env: 'OS_IMAGE_ID', summary: 'image of Glance, by id'},
  {
    name: 'openstack-net-name',
    type: 'string',
    env: 'OS_NETWORK_NAME',
    summary: "network of the machine; the project's only one when absent",
  },
  {name: 'openstack-net-id', type: 'string', env: 'OS_NETWORK_ID', summary: 'network, by id'},
  {
    name: 'openstack-sec-groups',
    type: 'string',
    env: 'OS_SECURITY_GROUPS',
    summary: 'security groups with commas between; one of our own, for the whole fleet, when absent',
  },
  {
    name: 'openstack-allow-cidr',
    type: 'list',
    env: 'HAWSER_OPENSTACK_ALLOW_CIDR',
    summary: 'who may reach SSH and Docker, where the group is our own; this host alone when absent',
  },
  {
    name: 'openstack-floatingip-pool',
    type: 'string',
    env: 'OS_FLOATINGIP_POOL',
    summary: 'external network, by name or id, of which the machine gets an address of its own',
  },
  {
    name: 'openstack-floating-ip',
    type: 'string',
    summary: 'a floating address that the project has already; rm leaves it there',
  },
  {
    name: 'openstack-ip-version',
    type: 'integer',
    env: 'OS_IP_VERSION',
    default: 4,
    summary: 'which of its addresses the machine is reached at: 4 or 6',
  },
  {
    name: 'openstack-availability-zone',
    type: 'string',
    env: 'OS_AVAILABILITY_ZONE',
    summary: 'where in the region',
  },
  {name: 'openstack-server-group', type: 'string', summary: 'id of a server group (affinity)'},
  {
    name: 'openstack-boot-volume-size',
    type: 'integer',
    env: 'HAWSER_OPENSTACK_BOOT_VOLUME_SIZE',
    summary: "boot from a volume of so many GiB instead of the flavor's disk; removed with the machine",
  },
  {
    name: 'openstack-boot-volume-type',
    type: 'string',
    env: 'HAWSER_OPENSTACK_BOOT_VOLUME_TYPE',
    summary: 'type of that volume',
  },
  {
    name: 'openstack-config-drive',
    type: 'boolean',
    env: 'OS_CONFIG_DRIVE',
    default: true,
    summary: 'hand the first-boot configuration over on a disk, not by the metadata service',
  },
  {
    name: 'openstack-metadata',
    type: 'string',
    env: 'OS_METADATA',
    summary: 'further metadata: KEY,VALUE,KEY,VALUE',
  },
  {
    name: 'openstack-active-timeout',
    type: 'integer',
    env: 'OS_ACTIVE_TIMEOUT',
    default: DEFAULT_ACTIVE_SECONDS,
    summary: 'seconds until the cloud must have made or changed the server',
  },
  {
    name: 'openstack-ssh-user',
    type: 'string',
    env: 'OS_SSH_USER',
    summary: 'login, for another image than Hawser’s',
  },
  {
    name: 'openstack-ssh-port',
    type: 'integer',
    env: 'OS_SSH_PORT',
    default: DEFAULT_SSH_PORT,
    summary: 'port of SSH on the machine',
  },
  {
    name: 'openstack-ssh-address',
    type: 'string',
    summary: 'HOST:PORT where SSH is reached instead, through a tunnel for instance',
  },
  {
    name: 'openstack-docker-address',
    type: 'string',
    summary: 'HOST:PORT where Docker is reached instead',
  },
];

const refusedFlags: readonly Flag[] = [
  {
    name: 'openstack-keypair-name',
    type: 'string',
    summary: '',
    refused:
      'each machine gets a key of its own in its first-boot configuration, so none is made in the cloud; further keys go into --config',
  },
  {
    name: 'openstack-private-key-file',
    type: 'string',
    summary: '',
    refused: 'each machine gets a key of its own; further keys go into --config',
  },
  {
    name: 'openstack-user-data-file',
    type: 'string',
    summary: '',
    refused: 'the user data is the first-boot configuration: give yours with --config',
  },
  {
    name: 'openstack-nova-network',
    type: 'boolean',
    summary: '',
    refused: 'Nova has had no networks of its own since 2017: leave it out, Neutron is used',
  },
];

export const openstackFlags: readonly Flag[] = [...cloudFlags, ...machineFlags, ...refusedFlags];
