/**
 * The layers as data: which folders are parts, and which of their files are the pure core. The lint rules are made of
 * this (lint-rules.ts), and a test shows that each one refuses; how to add a part: infra/README.md.
 */

export interface Part {
  /** From the root of the repository; the last segment is the part's name. */
  readonly folder: string;
  /** `common`: services/common and itself only. `parts`: it composes parts, so any of them. */
  readonly imports: 'common' | 'parts';
  /** Files of the pure core, below the folder: data in, data out. `*` stands for any name within one folder. */
  readonly pure: readonly string[];
  /** Files that a `*` of `pure` would cover and that are not pure. */
  readonly notPure?: readonly string[];
  /** Held to the same imports, but they call what is not pure: the order of things, without their own hands in it. */
  readonly conducting?: readonly string[];
}

export const parts: readonly Part[] = [
  {folder: 'services/cli', imports: 'parts', pure: []},
  {
    folder: 'services/common',
    imports: 'common',
    pure: [
      'contracts/*.ts',
      'payload/*.ts',
      'formats/byte-source.ts',
      'formats/errors.ts',
      'formats/gpt.ts',
      'formats/pe.ts',
      'formats/pe-signature.ts',
      'formats/uki.ts',
      'formats/fat.ts',
      'formats/fat-directory.ts',
      'formats/cpio.ts',
      'formats/crc32.ts',
      'formats/guid.ts',
      'errors.ts',
      'ipv4.ts',
      'parse.ts',
    ],
  },
  {folder: 'services/enrol-agent', imports: 'common', pure: []},
  {
    folder: 'services/provisioner',
    imports: 'common',
    pure: [
      'config/*.ts',
      'enrolment/errors.ts',
      'enrolment/ledger.ts',
      'enrolment/enrol.ts',
      'enrolment/over-ssh.ts',
      'enrolment/rate-limit.ts',
      'cluster/errors.ts',
      'cluster/plan.ts',
      'cluster/record.ts',
      'cluster/etcd.ts',
      'cluster/swarm.ts',
      'rack/errors.ts',
      'rack/identity.ts',
      'rack/groups.ts',
      'rack/approval.ts',
      'rack/disks.ts',
      'rack/record.ts',
      'rack/transitions.ts',
      'rack/boot.ts',
      'rack/ports.ts',
    ],
    notPure: ['config/commands.ts'],
  },
  {
    folder: 'services/overlay-agent',
    imports: 'common',
    pure: [
      'actual.ts',
      'addresses.ts',
      'cni/messages.ts',
      'desired.ts',
      'docker/inventory.ts',
      'docker/messages.ts',
      'errors.ts',
      'firewall.ts',
      'idle-blocks.ts',
      'names/*.ts',
      'plan.ts',
      'ports.ts',
      'record.ts',
      'state.ts',
    ],
  },
  {
    folder: 'services/overlay-allocator',
    imports: 'common',
    pure: [
      'blocks.ts',
      'decide.ts',
      'errors.ts',
      'keys.ts',
      'networks.ts',
      'ports.ts',
      'render.ts',
      'view.ts',
    ],
  },
  {
    folder: 'services/reboot-lock',
    imports: 'common',
    pure: [
      'semaphore.ts',
      'quorum.ts',
      'slots.ts',
      'record.ts',
      'snapshot.ts',
      'watchdog.ts',
      'render.ts',
      'errors.ts',
      'ports.ts',
    ],
  },
  {
    folder: 'services/update-agent',
    imports: 'common',
    pure: [
      'errors.ts',
      'machine.ts',
      'machine-offer.ts',
      'machine-staged.ts',
      'machine-apply.ts',
      'machine-after.ts',
      'transition.ts',
      'states.ts',
      'events.ts',
      'commands.ts',
      'record.ts',
      'recover.ts',
      'decide.ts',
      'diagram.ts',
      'request.ts',
      'pace.ts',
      'slots.ts',
      'uki-names.ts',
      'gpt-edit.ts',
      'load-option.ts',
      'health/verdict.ts',
      'drain/swarm-plan.ts',
      'drain/published-ports.ts',
    ],
  },
  {
    folder: 'services/update-server',
    imports: 'common',
    pure: [
      'advance.ts',
      'codec.ts',
      'crew.ts',
      'cron.ts',
      'errors.ts',
      'fleet.ts',
      'groups.ts',
      'hop.ts',
      'keys.ts',
      'rank.ts',
      'report.ts',
      'operations/lookup.ts',
      'rollout.ts',
      'standing.ts',
      'status.ts',
      'token-record.ts',
      'waves.ts',
      'windows.ts',
      'releases/barriers.ts',
    ],
  },
  {
    folder: 'image-build',
    imports: 'common',
    pure: [
      'contents/*.ts',
      'formats/pe-signature.ts',
      'formats/fat.ts',
      'formats/fat-directory.ts',
      'errors.ts',
      'packages/apt-sources.ts',
      'packages/lock.ts',
      'packages/mirrors.ts',
      'recipe/recipe.ts',
      'steps/module-list.ts',
    ],
  },
  {
    folder: 'machine-drivers',
    imports: 'common',
    pure: [
      'errors.ts',
      'names.ts',
      'store/ledger.ts',
      'store/record.ts',
      'drivers/qemu/command-line.ts',
      'drivers/qemu/addresses.ts',
      'drivers/openstack/marks.ts',
      'drivers/openstack/state.ts',
      'drivers/openstack/client/cloud-config.ts',
      'drivers/openstack/client/errors.ts',
      'drivers/openstack/client/identity.ts',
      'drivers/openstack/client/retry.ts',
      'drivers/amazonec2/aws-errors.ts',
      'drivers/amazonec2/flags.ts',
      'drivers/amazonec2/names.ts',
    ],
    conducting: ['lifecycle.ts', 'listing.ts', 'store/journal.ts'],
  },
];

/** Files that import node:crypto and compute, nothing more: a pure core may use them. */
export const computing: readonly string[] = [
  'services/common/hash.ts',
  'services/common/enrolment-mac.ts',
  'services/common/rack-crypto.ts',
  'services/provisioner/enrolment/token.ts',
];

/** Packages that only compute, so that a pure core may use them; every other dependency is a client library. */
export const purePackages: readonly string[] = ['semver', 'typebox', 'yaml'];

/** The name by which a part's folder shows up in an import. */
export function partName(part: Part): string {
  return part.folder.slice(part.folder.lastIndexOf('/') + 1);
}
