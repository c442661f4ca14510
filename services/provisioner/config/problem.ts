/** What is wrong with a config, and where: every problem names a line and column of the operator's own file. */

export interface Place {
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** The value is a literal block (`|`): its text starts on the next line. */
  readonly block?: boolean;
}

export type Severity = 'error' | 'warning';

export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  readonly message: string;
}

/** Collects problems; nothing stops at the first one. */
export interface Report {
  error(place: Place, message: string): void;
  warn(place: Place, message: string): void;
  /** In the order of the file, each once (an anchor used twice brings the same problem twice). */
  problems(): Problem[];
}

export const startOfFile: Place = {line: 1, column: 1};

export function createReport(file: string): Report {
  const found = new Map<string, Problem>();
  const add = (severity: Severity, place: Place, message: string) => {
    const problem = {file, line: place.line, column: place.column, severity, message};
    found.set(formatProblem(problem), problem);
  };
  return {
    error: (place, message) => add('error', place, message),
    warn: (place, message) => add('warning', place, message),
    problems: () => [...found.values()].sort((a, b) => a.line - b.line || a.column - b.column),
  };
}

/** `file.yaml:12:7: error: unknown field "hostnam"`, the form that editors jump to. */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: ${problem.message}`;
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some(problem => problem.severity === 'error');
}
