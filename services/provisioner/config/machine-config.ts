/** The config that a machine boots with for the first time: who it is, how to reach it, how it enrols. */
import type {EnrolmentConfig} from '../../common/contracts/enrolment.ts';
import {ConfigError} from './errors.ts';
import {addFile, addUser, emptyConfig, mergeConfigs, renderConfig, type IgnitionConfig} from './ignition.ts';
import {enrolmentPath, reservedReason} from './limits.ts';
import {hostnameProblem} from './rules.ts';
import {dataUrl} from './urls.ts';

export interface MachineConfigInput {
  readonly hostname: string;
  readonly user: 'core';
  /** Public keys, each in the form of an authorized_keys line. */
  readonly sshAuthorizedKeys: readonly string[];
  readonly enrolment: EnrolmentConfig;
  /** The operator's own config, as {@link translate} gave it. Its fields win over ours, except for the enrolment. */
  readonly operatorConfig?: IgnitionConfig | undefined;
}

/** Groups of the user: administration without a password, and Docker. */
const USER_GROUPS = ['sudo', 'docker'];

/**
 * Puts a machine's first-boot config together. Throws {@link ConfigError}: `bad-hostname`, `reserved-path` when the
 * operator's config writes the enrolment file, `replaces-config` when it would discard it.
 */
export function machineConfig(input: MachineConfigInput): IgnitionConfig {
  const problem = hostnameProblem(input.hostname);
  if (problem !== undefined) throw new ConfigError('bad-hostname', problem);
  const {operatorConfig} = input;
  if (operatorConfig !== undefined) refuseOverrides(operatorConfig);
  const enrolment = enrolmentFile(input.enrolment);
  const base = addFile(enrolment, {path: '/etc/hostname', contents: `${input.hostname}\n`});
  // Ignition refuses a key that is there twice.
  const sshAuthorizedKeys = [...new Set(input.sshAuthorizedKeys)];
  const machine = addUser(base, {name: input.user, groups: USER_GROUPS, sshAuthorizedKeys});
  return operatorConfig === undefined ? machine : pinned(mergeConfigs(machine, operatorConfig), enrolment);
}

function enrolmentFile(enrolment: EnrolmentConfig): IgnitionConfig {
  return addFile(emptyConfig(), {
    path: enrolmentPath,
    contents: `${JSON.stringify(enrolment)}\n`,
    mode: 0o600,
  });
}

function refuseOverrides(config: IgnitionConfig): void {
  const {files = [], links = [], directories = []} = config.storage ?? {};
  const reasons = [
    ...[...files, ...links].map(node => reservedReason(node.path, false)),
    ...directories.map(node => reservedReason(node.path, true)),
  ];
  const reason = reasons.find(one => one !== undefined);
  if (reason !== undefined) {
    throw new ConfigError('reserved-path', reason, {remedy: 'take it out of the machine configuration'});
  }
  if ((config.ignition.config?.replace?.source ?? '') !== '') {
    throw new ConfigError(
      'replaces-config',
      'ignition.config.replace would discard what makes the machine enrol',
      {
        remedy: 'use ignition.config.merge instead',
      },
    );
  }
}

/**
 * Ignition merges the configs of `ignition.config.merge` over the one that names them, the last one over all others.
 * What they hold is not known here, so the enrolment comes once more at their end.
 */
function pinned(config: IgnitionConfig, enrolment: IgnitionConfig): IgnitionConfig {
  if ((config.ignition.config?.merge ?? []).length === 0) return config;
  const source = dataUrl(new TextEncoder().encode(renderConfig(enrolment)));
  return mergeConfigs(config, {
    ignition: {version: config.ignition.version, config: {merge: [{source, compression: ''}]}},
  });
}
