/** Carries out a parsed template (template-parse.ts) on plain data, as Go's text/template does. Pure. */
import {parseTemplate, wrong} from './template-parse.ts';
import type {Call, Node, Operand, Pipeline} from './template-parse.ts';

/** Renders `template`. Throws `bad-setting` for what cannot be parsed and for a field that is not there. */
export function renderTemplate(template: string, data: unknown): string {
  return render(parseTemplate(template), {dot: data, variables: new Map([['$', data]])});
}

interface Scope {
  readonly dot: unknown;
  readonly variables: Map<string, unknown>;
}

function render(nodes: readonly Node[], scope: Scope): string {
  return nodes.map(node => renderNode(node, scope)).join('');
}

function renderNode(node: Node, scope: Scope): string {
  if (node.kind === 'text') return node.text;
  const value = evaluate(node.pipeline, scope);
  if (node.kind === 'print') return print(value);
  if (node.kind === 'assign') {
    scope.variables.set(node.variable, value);
    return '';
  }
  if (node.kind === 'range') return renderRange(node, value, scope);
  if (!isTrue(value)) return render(node.otherwise, inner(scope, scope.dot, []));
  const dot = node.kind === 'with' ? value : scope.dot;
  return render(node.body, inner(scope, dot, [[node.variables[0], value]]));
}

function renderRange(
  node: Extract<Node, {kind: 'if' | 'with' | 'range'}>,
  value: unknown,
  scope: Scope,
): string {
  const entries = entriesOf(value);
  if (entries.length === 0) return render(node.otherwise, inner(scope, scope.dot, []));
  const [first, second] = node.variables;
  return entries
    .map(([key, one]) =>
      render(
        node.body,
        inner(
          scope,
          one,
          second === undefined
            ? [[first, one]]
            : [
                [first, key],
                [second, one],
              ],
        ),
      ),
    )
    .join('');
}

function inner(
  scope: Scope,
  dot: unknown,
  named: ReadonlyArray<readonly [string | undefined, unknown]>,
): Scope {
  const variables = new Map(scope.variables);
  for (const [name, value] of named) if (name !== undefined) variables.set(name, value);
  return {dot, variables};
}

function evaluate(pipeline: Pipeline, scope: Scope): unknown {
  return pipeline.reduce<readonly unknown[]>((piped, call) => [invoke(call, piped, scope)], [])[0];
}

/** The result of the call before stands as the last operand. */
function invoke(call: Call, piped: readonly unknown[], scope: Scope): unknown {
  const operands = [...call.operands.map(one => valueOf(one, scope)), ...piped];
  if (call.name === undefined) return operands[0];
  const callee = functions.get(call.name);
  if (callee === undefined) throw wrong(`there is no function "${call.name}"`);
  return callee(...operands);
}

function valueOf(operand: Operand, scope: Scope): unknown {
  if (operand.kind === 'literal') return operand.value;
  if (operand.kind === 'group') return evaluate(operand.pipeline, scope);
  let value = scope.dot;
  if (operand.variable !== undefined) {
    if (!scope.variables.has(operand.variable)) throw wrong(`${operand.variable} is not set`);
    value = scope.variables.get(operand.variable);
  }
  for (const name of operand.path) value = fieldOf(value, name);
  return value;
}

function fieldOf(value: unknown, name: string): unknown {
  if (isRecord(value) && Object.hasOwn(value, name)) return value[name];
  const known = isRecord(value) ? `; there is ${Object.keys(value).join(', ')}` : '';
  throw wrong(`there is no field "${name}"${known}`);
}

const functions: ReadonlyMap<string, (...values: readonly unknown[]) => unknown> = new Map<
  string,
  (...values: readonly unknown[]) => unknown
>([
  ['json', value => JSON.stringify(value) ?? 'null'],
  ['prettyjson', value => JSON.stringify(value, undefined, 4) ?? 'null'],
  ['and', (...values) => values.find(value => !isTrue(value)) ?? values.at(-1)],
  ['or', (...values) => values.find(isTrue) ?? values.at(-1)],
  ['not', value => !isTrue(value)],
  ['eq', (first, ...others) => others.some(other => other === first)],
  ['ne', (first, second) => first !== second],
  ['lt', (first, second) => compare(first, second) < 0],
  ['le', (first, second) => compare(first, second) <= 0],
  ['gt', (first, second) => compare(first, second) > 0],
  ['ge', (first, second) => compare(first, second) >= 0],
  ['len', value => (typeof value === 'string' ? Buffer.byteLength(value) : entriesOf(value).length)],
  ['index', (value, ...keys) => keys.reduce(elementOf, value)],
  ['print', (...values) => values.map(print).join('')],
  ['println', (...values) => `${values.map(print).join(' ')}\n`],
  ['printf', (format, ...values) => printf(String(format), values)],
]);

function elementOf(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) return (value as readonly unknown[])[Number(key)];
  return isRecord(value) ? value[String(key)] : undefined;
}

/** `%s`, `%v`, `%d`, `%q` and `%%`, with a width: `%-10s`. */
function printf(format: string, values: readonly unknown[]): string {
  let at = 0;
  return format.replaceAll(/%(-?)(\d*)([svdq%])/g, (_, left: string, width: string, verb: string) => {
    if (verb === '%') return '%';
    const text = verb === 'q' ? JSON.stringify(print(values[at++])) : print(values[at++]);
    return left === '' ? text.padStart(Number(width)) : text.padEnd(Number(width));
  });
}

function compare(first: unknown, second: unknown): number {
  if (typeof first === 'number' && typeof second === 'number') return first - second;
  const [a, b] = [print(first), print(second)];
  return a < b ? -1 : Number(a > b);
}

/** Go: false, 0, nil, and what is empty. */
function isTrue(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false;
  return typeof value === 'object' ? entriesOf(value).length > 0 : true;
}

function entriesOf(value: unknown): ReadonlyArray<readonly [string | number, unknown]> {
  if (Array.isArray(value)) return (value as readonly unknown[]).map((one, index) => [index, one]);
  // Go ranges over a map in the order of its keys.
  return isRecord(value) ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)) : [];
}

/** As Go's fmt prints it: lists in square brackets, maps as `map[key:value]`. */
function print(value: unknown): string {
  if (value === undefined || value === null) return '<no value>';
  if (Array.isArray(value)) return `[${(value as readonly unknown[]).map(print).join(' ')}]`;
  if (isRecord(value))
    return `map[${entriesOf(value)
      .map(([key, one]) => `${key}:${print(one)}`)
      .join(' ')}]`;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
