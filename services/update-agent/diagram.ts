/** Draws the transition table (mermaid), for the README; a test holds the two against each other. */
import {machinePhases} from '../common/contracts/fleet.ts';
import {transitions} from './machine.ts';

/** Loops, in which a state waits or asks further, are left out. */
export function diagram(): string {
  const lines = ['stateDiagram-v2', '  [*] --> idle'];
  for (const from of machinePhases) {
    for (const to of machinePhases) {
      if (to === from) continue;
      const events = Object.entries(transitions[from])
        .filter(([, transition]) => transition.to.includes(to))
        .map(([event]) => event);
      if (events.length > 0) lines.push(`  ${name(from)} --> ${name(to)}: ${events.join(', ')}`);
    }
  }
  lines.push('  rebooting --> proving: boots the new release');
  lines.push('  rebooting --> fell_back: boots the old release');
  lines.push('  proving --> fell_back: unhealthy, boots the old release');
  return lines.join('\n');
}

/** mermaid takes no hyphen in a state's name. */
function name(phase: string): string {
  return phase.replaceAll('-', '_');
}
