/**
 * What is done about holders that do not come back. Pure decisions; watch.ts carries them out.
 *
 * A machine that the machine layer says is gone frees its slot. One whose deadline passed after it went down is
 * power-cycled once, where the group allows it; if that does not bring it back, the group stands still until a person
 * looks. Nothing here ever lets the next machine go because time passed.
 */
import type {GroupPolicy, LockSnapshot, MachineLayerState} from './ports.ts';
import type {Holder} from './record.ts';
import {isOverdue} from './semaphore.ts';

export type Remedy =
  | {readonly kind: 'free'; readonly group: string; readonly holder: Holder}
  | {readonly kind: 'power-cycle'; readonly group: string; readonly holder: Holder}
  | {readonly kind: 'alert'; readonly group: string; readonly holder: Holder; readonly why: string};

/** The holders for whom the machine layer must be asked, with their groups: all of them, since any may be deleted. */
export function holdersToAsk(snapshot: LockSnapshot): {readonly group: string; readonly holder: Holder}[] {
  return [...snapshot.groups].flatMap(([group, entry]) =>
    entry.kind === 'readable' ? entry.state.holders.map(holder => ({group, holder})) : [],
  );
}

/** What to do about one holder. `policy` is undefined where the group is not known any more. */
export function remedyFor(
  group: string,
  holder: Holder,
  state: MachineLayerState,
  policy: GroupPolicy | undefined,
  now: Date,
): Remedy | undefined {
  if (state === 'gone') return {kind: 'free', group, holder};
  if (!isOverdue(holder, now)) return undefined;
  const alert = (why: string) => ({kind: 'alert', group, holder, why}) as const;
  // Before its reboot a machine may be draining still: cutting its power would cut connections.
  if (holder.phase !== 'rebooting' && holder.phase !== 'proving')
    return alert('it is overdue before its reboot or after its proof');
  if (holder.powerCycled !== undefined) return alert('its power was cycled once and it did not come back');
  if (policy?.powerCycle !== true) return alert('the group does not allow its power to be cycled');
  if (state === 'unknown') return alert('the machine layer does not know it');
  return {kind: 'power-cycle', group, holder};
}
