/** What a machine that has reported is told to do now. */
import {rackPaths, type RackPermit, type RackTask} from '../../common/contracts/rack.ts';
import {sha256} from '../../common/hash.ts';
import {permitContext, seal} from '../../common/rack-crypto.ts';
import {seenReason} from './approval.ts';
import type {RackGroup} from './groups.ts';
import type {RackRelease, RackSupplies} from './ports.ts';
import type {RackMachine, StoredPermit} from './record.ts';

const WAIT_SECONDS = 5;

export interface TaskSources {
  readonly supplies: RackSupplies;
  readonly groups: readonly RackGroup[];
  /** Of this HTTPS server, as machines reach it. */
  readonly url: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** By its state; an approved one gets its permit, sealed to the keys of its last report. */
export async function taskFor(machine: RackMachine, sources: TaskSources): Promise<RackTask> {
  const {supplies, groups, now} = sources;
  const wait = (reason: string): RackTask => ({kind: 'wait', seconds: WAIT_SECONDS, reason});
  const {permit, state} = machine;
  if (state === 'quarantined') return quarantine(machine.reason ?? 'an operator has to look');
  if (state === 'installed' || state === 'joined')
    return {kind: 'boot-disk', reason: `this machine is ${state}; its disk is the next to boot`};
  if (state === 'installing') return wait('its installation is under way');
  if (state === 'seen' || permit === undefined) return wait(seenReason(machine, groups));
  if (now >= permit.expires) return wait('its permit has expired: approve it again');
  const release = await supplies.release();
  if (release === undefined || release.rootHash !== permit.rootHash)
    return wait(`the release ${permit.version} is not there`);
  const whole = await wholePermit(machine, permit, release, sources);
  const context = permitContext(machine.machine, permit.id);
  const sealed = seal(machine.report.keys.x25519, JSON.stringify(whole), context);
  return {kind: 'install', permit: permit.id, sealed, reason: `approved; installs ${permit.version}`};
}

/** Network cards that were seen in different machines: which record is whose, a person has to say. */
export function mixedUp(fitting: readonly RackMachine[]): RackTask {
  const names = fitting.map(machine => machine.name ?? machine.machine).join(', ');
  return quarantine(`its network cards belong to more than one machine that is known here: ${names}`);
}

function quarantine(reason: string): RackTask {
  return {kind: 'quarantined', seconds: WAIT_SECONDS * 6, reason};
}

async function wholePermit(
  machine: RackMachine,
  permit: StoredPermit,
  release: RackRelease,
  {supplies, url}: TaskSources,
): Promise<RackPermit> {
  const config = await supplies.config(machine);
  const {id, expires, disk, keepData, encryption} = permit;
  return {
    schema: 1,
    id,
    machine: machine.machine,
    name: machine.name ?? machine.machine,
    expires,
    disk,
    release: {version: release.version, rootHash: release.rootHash, artefacts: [...release.artefacts]},
    keepData,
    encryption,
    config: {
      url: new URL(rackPaths.config, url).href,
      token: supplies.tokenOf(id),
      bytes: Buffer.byteLength(config),
      sha256: sha256(config),
    },
  };
}
