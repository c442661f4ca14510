/** How many machines of a group may be away at once. Pure. */

/** A number of machines, or a share of the group such as `25%`. */
export type Slots = number | `${number}%`;

/**
 * The number of slots. A share is rounded down, but is at least one and, in a group of several, never all. A number is
 * the operator's word and is taken as it stands.
 */
export function slotCount(slots: Slots, machines: number): number {
  if (typeof slots === 'number') return Math.max(1, Math.floor(slots));
  const share = Math.floor((machines * Number.parseFloat(slots)) / 100);
  return Math.max(1, Math.min(share, machines - 1));
}
