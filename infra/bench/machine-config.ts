/** What both systems are given at their first boot: one user with a key and rights, no more. Pure. */
import {markerUnit, markerUnitName} from './marker.ts';

export const user = 'bench';

/** Ignition 3.3; the marker unit, which the Debian image holds already, comes with it. */
export function ignitionConfig(publicKey: string): string {
  return JSON.stringify({
    ignition: {version: '3.3.0'},
    passwd: {users: [{name: user, groups: ['sudo', 'docker'], sshAuthorizedKeys: [publicKey]}]},
    systemd: {units: [{name: markerUnitName, enabled: true, contents: markerUnit}]},
  });
}

/** The two files of cloud-init's NoCloud data source. */
export function noCloudFiles(publicKey: string, instance: string): Readonly<Record<string, string>> {
  const account = {
    name: user,
    shell: '/bin/bash',
    groups: ['docker'],
    sudo: 'ALL=(ALL) NOPASSWD:ALL',
    ssh_authorized_keys: [publicKey],
  };
  return {
    'meta-data': JSON.stringify({'instance-id': instance, 'local-hostname': 'bench'}),
    // JSON is YAML
    'user-data': `#cloud-config\n${JSON.stringify({users: [account], package_update: false})}\n`,
  };
}
