/** What the machine tells the server with each poll. Pure. */
import type {CheckRequest, MachinePhase} from '../common/contracts/fleet.ts';
import type {AgentSettings, MachineFacts} from './ports.ts';
import type {AgentRecord} from './record.ts';

export function checkRequest(
  record: AgentRecord,
  facts: MachineFacts,
  settings: AgentSettings,
  phase: MachinePhase,
): CheckRequest {
  const waitsFor = record.waitsFor?.slice(0, 512);
  return {
    name: settings.name,
    version: facts.own.version,
    rootHash: facts.own.rootHash,
    slot: facts.slot,
    bootId: facts.bootId,
    phase,
    ...(record.staged === undefined ? {} : {staged: record.staged.version}),
    labels: {...settings.labels},
    failed: record.failed,
    ...(waitsFor === undefined ? {} : {waitsFor}),
    ...(record.progress === undefined ? {} : {progress: record.progress}),
    healthy: phase !== 'proving' && phase !== 'fell-back',
    events: record.events,
  };
}
