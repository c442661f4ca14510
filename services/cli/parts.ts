/** The explicit list of parts whose commands `hawser` joins. */
import type {Part} from './dispatch.ts';

export function listParts(): readonly Part[] {
  return [
    {
      word: 'machine',
      summary: 'make machines and work with them',
      load: async given => (await import('./machine-part.ts')).machinePart(given),
    },
    {
      word: 'cluster',
      summary: 'form an etcd and a Docker Swarm of machines',
      load: async () => (await import('./cluster-part.ts')).clusterPart(),
    },
    {
      word: 'server',
      summary: 'serve updates, the reboot lock, enrolment and the repository',
      load: async () => (await import('./server-part.ts')).serverPart(),
    },
    {
      word: 'login',
      summary: 'choose the server that the commands speak to',
      load: async () => (await import('./server-part.ts')).serverPart(),
    },
    {
      word: 'fleet',
      summary: 'show the fleet, decide about single machines',
      load: async given => [
        ...(await import('../update-server/commands/fleet.ts')).fleetCommands,
        ...(await (await import('./machine-part.ts')).machinePart(given)),
      ],
    },
    {
      word: 'channel',
      summary: 'what is offered to groups',
      load: async () => (await import('../update-server/commands/policy.ts')).channelCommands,
    },
    {
      word: 'group',
      summary: 'which machines are updated how',
      load: async () => (await import('../update-server/commands/policy.ts')).groupCommands,
    },
    {
      word: 'rollout',
      summary: 'watch and steer the update of a group',
      load: async () => (await import('../update-server/commands/policy.ts')).rolloutCommands,
    },
    {
      word: 'image',
      summary: 'lock, build and inspect the operating system image',
      load: async given => [
        ...(await import('../../image-build/commands.ts')).imageCommands,
        ...(await (await import('./machine-part.ts')).machinePart(given)),
      ],
    },
    {
      word: 'keys',
      summary: 'make the keys that sign images',
      load: async () => (await import('../../image-build/keys/commands.ts')).keysCommands,
    },
    {
      word: 'release',
      summary: 'publish releases, sign them, and offer them to machines',
      load: async () => (await import('./release-part.ts')).releasePart(),
    },
    {
      word: 'enrol',
      summary: 'serve enrolment to machines',
      load: async () => (await import('../provisioner/enrolment/commands.ts')).enrolCommands,
    },
    {
      word: 'net',
      summary: 'networks that span all hosts: list, look into, check, make, remove',
      load: async () => (await import('../overlay-allocator/commands.ts')).netCommands,
    },
    {
      word: 'lock',
      summary: 'see who holds the reboot locks, and take a slot away',
      load: async () => (await import('../reboot-lock/commands.ts')).lockCommands,
    },
    {
      word: 'completion',
      summary: 'teach a shell these commands',
      load: async ({parts}) => (await import('./completion-part.ts')).completionPart(parts),
    },
    {
      word: 'config',
      summary: 'check and translate machine configurations',
      load: async () => (await import('../provisioner/config/commands.ts')).configCommands,
    },
  ];
}
