/** What a machine that boots over the network is told. Pure. */
import type {BootDecision, BootQuery} from '../../common/contracts/rack.ts';
import type {RackMachine} from './record.ts';

const ASK_AGAIN_SECONDS = 30;

/**
 * `machines` are those that the query may mean. An installed machine always boots its disk, so a boot order with the
 * network first cannot loop; one that is unknown gets the system that reports it, which writes nothing by itself.
 */
export function decideBoot(query: BootQuery, machines: readonly RackMachine[]): BootDecision {
  if (query.platform === 'pcbios')
    return {
      kind: 'refuse',
      reason: 'this machine boots in BIOS mode; Hawser needs UEFI: change it in the firmware setup',
      seconds: ASK_AGAIN_SECONDS,
    };
  const [machine, second] = machines;
  if (machine === undefined) return {kind: 'netboot', reason: 'nobody knows this machine yet'};
  if (second !== undefined)
    return {
      kind: 'refuse',
      reason: `more than one machine fits: ${machines.map(each => each.name ?? each.machine).join(', ')}`,
      seconds: ASK_AGAIN_SECONDS,
    };
  const installed = machine.state === 'installed' || machine.state === 'joined';
  return installed
    ? {kind: 'local-disk', reason: `${machine.name ?? machine.machine} is ${machine.state}`}
    : {kind: 'netboot', reason: `${machine.name ?? machine.machine} is ${machine.state}`};
}
