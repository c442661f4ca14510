/** The writable root after a power cut: its journal replayed as the next boot does it, then the agent's record read. */
import {agentFiles} from '../../../services/common/contracts/agent.ts';
import {exec} from '../../../services/common/exec.ts';
import {parseJson} from '../../../services/common/parse.ts';
import {AgentRecord, emptyRecord} from '../../../services/update-agent/record.ts';
import {recover} from '../../../services/update-agent/recover.ts';
import {holds, type Slot} from '../../../services/update-agent/slots.ts';
import type {UkiFile} from '../../../services/update-agent/uki-names.ts';
import {Esp} from '../../../services/update-agent/adapters/esp.ts';
import type {Layout} from './areas.ts';
import type {DiskVerdict} from './check-disk.ts';

const TOOL_MS = 120_000;
/** e2fsck: nothing was wrong; errors were corrected; and the system should be restarted. */
const mended = [0, 1, 2, 3];

export interface RootVerdict {
  readonly record: AgentRecord | undefined;
  /** The state in which the agent begins its next run. */
  readonly phase: string | undefined;
  readonly problems: readonly string[];
}

/** `path` is a copy of the root partition, which is changed. `unknownBoot` stands for a boot that never was before. */
export async function checkRoot(path: string, disk: DiskVerdict, layout: Layout): Promise<RootVerdict> {
  const fsck = await exec(['e2fsck', '-f', '-p', path], {
    timeoutMs: TOOL_MS,
    okCodes: [...mended, 4, 8, 12],
  });
  if (!mended.includes(fsck.code ?? -1))
    return {record: undefined, phase: undefined, problems: [`e2fsck: ${fsck.stdout.slice(0, 300)}`]};
  const file = `${agentFiles.state}/record.json`;
  const {stdout} = await exec(['debugfs', '-R', `cat ${file}`, path], {timeoutMs: TOOL_MS});
  let record: AgentRecord;
  try {
    // Not there: the agent has never run.
    record = stdout === '' ? emptyRecord() : parseJson(AgentRecord, stdout, file);
  } catch (error) {
    return {record: undefined, phase: undefined, problems: [`the agent's record: ${String(error)}`]};
  }
  return judge(record, disk, layout);
}

/** Whether what the agent remembers fits the disk. Pure. */
export function judge(record: AgentRecord, disk: DiskVerdict, layout: Layout): RootVerdict {
  const problems: string[] = [];
  const {boots} = disk;
  if (boots === undefined) return {record, phase: undefined, problems};
  const {staged, trial} = record;
  if (record.failed.length > 0)
    problems.push(`the record has ${record.failed[0]?.version} as failed, which only lost its power`);
  if (staged !== undefined && !slotsOf(disk, layout).some(slot => holds(slot, staged.rootHash)))
    problems.push(`the record has ${staged.version} as staged, and no slot is named so`);
  const state = recover(
    record,
    {
      own: {version: boots.version, rootHash: boots.rootHash},
      bootId: 'a boot that never was before',
      trialEntry: trial === undefined ? 'gone' : entryOf(disk.files, trial.version),
    },
    new Date(0).toISOString(),
  );
  if (state.phase === 'fell-back')
    problems.push(`the next run takes ${state.failed.version} for failed: ${state.failed.detail}`);
  const inEsp = disk.files.some(one => one.version === staged?.version);
  if (staged !== undefined && (state.phase === 'staged' || state.phase === 'locking') && !inEsp)
    problems.push(`the next run goes on with ${staged.version}, which has no boot entry`);
  return {record, phase: state.phase, problems};
}

function entryOf(files: readonly UkiFile[], version: string) {
  return new Esp('/boot').entryOf(files, version);
}

function slotsOf({partitions}: DiskVerdict, {slots}: Layout): Slot[] {
  return slots.flatMap(({data, tree}, index) => {
    const [one, two] = [data, tree].map(part => partitions.find(found => found.number === part.number));
    return one && two ? [{name: index === 0 ? ('a' as const) : ('b' as const), data: one, tree: two}] : [];
  });
}
