/** What the checks of a whole config share. */
import type {Marks} from './marks.ts';
import {fieldName, type Naming} from './naming.ts';
import type {Report} from './problem.ts';

export interface CheckContext {
  readonly report: Report;
  readonly marks: Marks;
  readonly naming: Naming;
}

/** An error at a field of `owner`, or at `owner` itself. */
export function errorAt(
  context: CheckContext,
  owner: object,
  field: string | number | undefined,
  message: string,
): void {
  context.report.error(context.marks.at(owner, field), message);
}

/** The name of a field as the operator writes it. */
export function written(context: CheckContext, name: string): string {
  return fieldName(name, context.naming);
}
