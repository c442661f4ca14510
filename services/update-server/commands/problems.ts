/** Where in a YAML file a value does not fit its schema. */
import type {TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {isNode, isPair, type Document, type LineCounter} from 'yaml';

export interface Problem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The first problem, at the innermost place of the file that it is about; undefined when the value fits. */
export function findProblem(
  schema: TSchema,
  value: unknown,
  document: Document,
  lines: LineCounter,
): Problem | undefined {
  const [first] = Value.Errors(schema, value);
  if (first === undefined) return undefined;
  const path = first.instancePath
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const unknown = extraName(first.params);
  const {line, col} = lines.linePos(offsetOf(document, unknown === undefined ? path : [...path, unknown]));
  const where = path.length === 0 ? '' : `${path.join('.')}: `;
  return {
    line,
    column: col,
    message:
      unknown === undefined ? `${where}${messageOf(first.message)}` : `${where}unknown field "${unknown}"`,
  };
}

/** A field that may not be there is checked against the schema `false`. */
function messageOf(message: string): string {
  return message === 'schema is false' ? 'there is no such field' : message;
}

function extraName(params: unknown): string | undefined {
  if (typeof params !== 'object' || params === null || !('additionalProperties' in params)) return undefined;
  const names: unknown = params.additionalProperties;
  return Array.isArray(names) && typeof names[0] === 'string' ? names[0] : undefined;
}

/** The deepest node of the path that the file has; a key stands for its pair. */
function offsetOf(document: Document, path: readonly string[]): number {
  let offset = 0;
  for (let depth = 1; depth <= path.length; depth += 1) {
    const key = path[depth - 1];
    const parent = document.getIn(path.slice(0, depth - 1), true);
    if (isNode(parent) && 'items' in parent && Array.isArray(parent.items)) {
      for (const item of parent.items as readonly unknown[]) {
        if (!isPair(item) || !isNode(item.key) || String(item.key) !== key) continue;
        offset = item.key.range?.[0] ?? offset;
      }
    }
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && isNode(parent) && 'items' in parent && !parent.items.some(isPair))
      offset = node.range?.[0] ?? offset;
  }
  return offset;
}
