/**
 * A firmware variable store with our keys in it, so that a VM enforces Secure Boot from its first boot: the
 * command of virt-fw-vars (Debian 13, python3-virt-firmware: part of the tools root), as data.
 */
import type {KeySet} from './key-set.ts';

export interface OvmfVarsInput {
  /** The store that comes with the firmware (`OVMF_VARS_4M.fd`): empty, in setup mode. */
  readonly template: string;
  readonly output: string;
  /** GUID of the owner, as {@link loadKeys} of store.ts returns it. */
  readonly owner: string;
  /** Certificates as the tool sees them: paths inside the tools root where it runs in one. */
  readonly keys: Pick<KeySet, 'PK' | 'KEK' | 'db'>;
}

/** Packages (Debian 13) that {@link ovmfVarsCommand} needs. */
export const ovmfVarsPackages = ['python3-virt-firmware'] as const;

/**
 * Argument array that writes `output`. Only our certificates go in, none of Microsoft's. A time stamp of now is
 * in the result, so two runs differ.
 */
export function ovmfVarsCommand({template, output, owner, keys}: OvmfVarsInput): string[] {
  const options: readonly (readonly string[])[] = [
    ['--input', template],
    ['--output', output],
    ['--set-pk', owner, keys.PK.certificate],
    ['--add-kek', owner, keys.KEK.certificate],
    ['--add-db', owner, keys.db.certificate],
    ['--secure-boot'],
  ];
  return ['virt-fw-vars', ...options.flat()];
}
