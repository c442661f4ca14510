/** The order in which a rollout reaches machines: stable for one rollout, different in the next. */

/**
 * The place of a machine in the order of a rollout, as text that sorts: 14 hex digits of a 53-bit hash (cyrb53,
 * public domain), then the UUID, so that no two machines are equal. Not for security: machines do not choose UUIDs.
 */
export function rankOf(rollout: string, uuid: string): string {
  return `${hash53(`${rollout}/${uuid}`).toString(16).padStart(14, '0')}-${uuid}`;
}

function hash53(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
