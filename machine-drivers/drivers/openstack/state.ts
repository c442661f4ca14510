/** Nova's words for a server in docker-machine's. Pure. */
import type {MachineState} from '../../driver.ts';

const states: Readonly<Record<string, MachineState>> = {
  ACTIVE: 'Running',
  BUILD: 'Starting',
  REBUILD: 'Starting',
  REBOOT: 'Starting',
  HARD_REBOOT: 'Starting',
  MIGRATING: 'Running',
  PASSWORD: 'Running',
  RESIZE: 'Stopping',
  REVERT_RESIZE: 'Stopping',
  VERIFY_RESIZE: 'Running',
  PAUSED: 'Paused',
  SUSPENDED: 'Saved',
  SHELVED: 'Saved',
  SHELVED_OFFLOADED: 'Saved',
  SHUTOFF: 'Stopped',
  // It runs, but another system than its own.
  RESCUE: 'Error',
  ERROR: 'Error',
  UNKNOWN: 'Error',
};

const leaving = ['powering-off', 'deleting', 'soft-deleting', 'pausing', 'suspending', 'shelving'];
const coming = ['powering-on', 'unpausing', 'resuming', 'unshelving', 'spawning'];

/** The status counts first: a server that is being built has no task for moments. */
export function machineState(status: string, task?: string | null): MachineState {
  if (isGone(status)) return 'None';
  if (status === 'ACTIVE' && leaving.includes(task ?? '')) return 'Stopping';
  if (status !== 'ERROR' && coming.includes(task ?? '')) return 'Starting';
  return states[status] ?? 'Error';
}

/** In the moments before Nova says 404, and where deletions are kept for a while. */
export function isGone(status: string): boolean {
  return status === 'DELETED' || status === 'SOFT_DELETED';
}
