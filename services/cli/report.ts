/** How a failure is shown: one line; with debug, the stack and every cause. */
import {HawserError, describeError} from '../common/errors.ts';

const INTERRUPTED = 130;

/** The lines for standard error. */
export function renderFailure(error: unknown, debug: boolean): string[] {
  const line = `hawser: ${describeError(error).replaceAll(/\s*\n\s*/g, ' ')}`;
  return debug ? [line, ...trace(error)] : [line];
}

/**
 * 130 after ^C. Otherwise 1, or the `exitCode` that the error carries in its context: docker-machine's 3 for a
 * failed check before creation.
 */
export function exitCodeOf(error: unknown, interrupted: boolean): number {
  if (interrupted) return INTERRUPTED;
  const carried = error instanceof HawserError ? error.context['exitCode'] : undefined;
  return typeof carried === 'number' ? carried : 1;
}

function trace(error: unknown): string[] {
  const lines: string[] = [];
  const seen = new Set<unknown>();
  for (let current = error; current instanceof Error && !seen.has(current); current = current.cause) {
    seen.add(current);
    if (lines.length > 0) lines.push('caused by:');
    lines.push(...(current.stack ?? current.message).split('\n'));
  }
  return lines;
}
