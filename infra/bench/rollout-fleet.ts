/** Who the machines of rollout.ts are. Pure. */
export const versions = ['1.0.0', '1.1.0'] as const;

export function rootHashOf(version: string): string {
  return Buffer.from(version).toString('hex').padEnd(64, '0');
}

export function machineUuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}
