/**
 * Go's text/template as far as docker-machine's users write it, parsed: text, fields, functions with pipes, variables,
 * if, range and with. Pure. Syntax: pkg.go.dev/text/template.
 */
import {MachineError} from '../errors.ts';

export type Operand =
  | {readonly kind: 'literal'; readonly value: string | number | boolean}
  /** `.A.B`, or `$x.A.B` with its variable. */
  | {readonly kind: 'field'; readonly variable?: string; readonly path: readonly string[]}
  | {readonly kind: 'group'; readonly pipeline: Pipeline};

/** One call; a command without a function name is its only operand. */
export interface Call {
  readonly name?: string;
  readonly operands: readonly Operand[];
}
export type Pipeline = readonly Call[];

export type Node =
  | {readonly kind: 'text'; readonly text: string}
  | {readonly kind: 'print'; readonly pipeline: Pipeline}
  | {readonly kind: 'assign'; readonly variable: string; readonly pipeline: Pipeline}
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      /** Of range: value, or index and value. Of if and with: the value. */
      readonly variables: readonly string[];
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** Throws `bad-setting` with what is wrong. */
export function parseTemplate(text: string): readonly Node[] {
  const parser = new Parser(split(text));
  const {nodes, end} = parser.nodes();
  if (end !== undefined) throw wrong(`{{${end}}} without a beginning`);
  return nodes;
}

type Piece = {readonly text: string} | {readonly action: string};

/** Texts and actions by turns; `{{-` and `-}}` eat the white space beside them, comments go. */
function split(text: string): Piece[] {
  const pieces: Piece[] = [];
  let rest = text;
  let trimNext = false;
  for (;;) {
    const open = rest.indexOf('{{');
    let before = open === -1 ? rest : rest.slice(0, open);
    if (trimNext) before = before.trimStart();
    const trimBefore = open !== -1 && /^\{\{-\s/.test(rest.slice(open));
    if (trimBefore) before = before.trimEnd();
    if (before !== '') pieces.push({text: before});
    if (open === -1) return pieces;
    const found = /^\{\{(-\s)?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`])*?)(\s-)?\}\}/s.exec(rest.slice(open));
    if (found === null) throw wrong('an action that does not end');
    const action = (found[2] ?? '').trim();
    trimNext = found[3] !== undefined;
    if (!/^\/\*.*\*\/$/s.test(action)) pieces.push({action});
    rest = rest.slice(open + found[0].length);
  }
}

const TOKEN = /"(?:[^"\\]|\\.)*"|`[^`]*`|:=|[|(),]|\$?\w*(?:\.\w+)+|\$\w*|-?\d+(?:\.\d+)?|\w+|\.|\S/g;

class Parser {
  readonly #pieces: readonly Piece[];
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Up to the end, or to `end` or `else …`, which is returned. */
  nodes(): {nodes: Node[]; end?: string} {
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.#pieces[this.#at++];
      if (piece === undefined) return {nodes};
      if ('text' in piece) {
        nodes.push({kind: 'text', text: piece.text});
        continue;
      }
      const [, word = '', rest = ''] =
        /^(if|with|range|else|end|template|define|block)?\b\s*(.*)$/s.exec(piece.action) ?? [];
      if (word === 'end' || word === 'else') return {nodes, end: piece.action};
      if (word === 'if' || word === 'with' || word === 'range') nodes.push(this.#block(word, rest));
      else if (word === '') nodes.push(simple(piece.action));
      else throw wrong(`{{${word}}} is not supported`);
    }
  }

  #block(kind: 'if' | 'with' | 'range', head: string): Node {
    const [, names = '', tail = head] = /^((?:\$\w+\s*,\s*)?\$\w+)\s*:=\s*(.*)$/s.exec(head) ?? [];
    const variables = names === '' ? [] : names.split(',').map(name => name.trim());
    const pipeline = parsePipeline(tail);
    const {nodes: body, end} = this.nodes();
    return {kind, pipeline, variables, body, otherwise: this.#otherwise(kind, end)};
  }

  #otherwise(kind: string, end: string | undefined): readonly Node[] {
    if (end === undefined) throw wrong(`{{${kind}}} without {{end}}`);
    if (end === 'end') return [];
    const [, next, head = ''] = /^else\s+(if|with)\s+(.*)$/s.exec(end) ?? [];
    if (next === 'if' || next === 'with') return [this.#block(next, head)];
    const rest = this.nodes();
    if (rest.end !== 'end') throw wrong(`{{${kind}}} without {{end}}`);
    return rest.nodes;
  }
}

function simple(action: string): Node {
  const [, variable, tail] = /^(\$\w+)\s*:?=\s*(.*)$/s.exec(action) ?? [];
  if (variable !== undefined && tail !== undefined)
    return {kind: 'assign', variable, pipeline: parsePipeline(tail)};
  return {kind: 'print', pipeline: parsePipeline(action)};
}

function parsePipeline(text: string): Pipeline {
  const tokens = text.match(TOKEN) ?? [];
  const {pipeline, used} = pipelineFrom(tokens, 0);
  if (used !== tokens.length) throw wrong(`"${tokens[used] ?? ''}" in {{${text}}}`);
  return pipeline;
}

function pipelineFrom(tokens: readonly string[], from: number): {pipeline: Pipeline; used: number} {
  const calls: Call[] = [];
  let at = from;
  for (;;) {
    const operands: Operand[] = [];
    const first = tokens[at] ?? '';
    const name =
      /^[A-Za-z_]\w*$/.test(first) && !['true', 'false', 'nil'].includes(first) ? first : undefined;
    if (name !== undefined) at++;
    while (at < tokens.length && tokens[at] !== '|' && tokens[at] !== ')') {
      if (tokens[at] === '(') {
        const inner = pipelineFrom(tokens, at + 1);
        if (tokens[inner.used] !== ')') throw wrong('a bracket that does not close');
        operands.push({kind: 'group', pipeline: inner.pipeline});
        at = inner.used + 1;
      } else operands.push(operand(tokens[at++] ?? ''));
    }
    if (name === undefined && operands.length !== 1) throw wrong('an action without exactly one value');
    calls.push(name === undefined ? {operands} : {name, operands});
    if (tokens[at] !== '|') return {pipeline: calls, used: at};
    at++;
  }
}

function operand(token: string): Operand {
  if (token === 'true' || token === 'false') return {kind: 'literal', value: token === 'true'};
  if (/^-?\d/.test(token)) return {kind: 'literal', value: Number(token)};
  if (token.startsWith('`')) return {kind: 'literal', value: token.slice(1, -1)};
  if (token.startsWith('"')) return {kind: 'literal', value: unquote(token)};
  if (token === '.') return {kind: 'field', path: []};
  const [, variable = '', fields = ''] = /^(\$\w*)?((?:\.\w+)*)$/.exec(token) ?? [];
  if (variable === '' && fields === '') throw wrong(`"${token}"`);
  const path = fields.split('.').slice(1);
  return variable === '' ? {kind: 'field', path} : {kind: 'field', variable, path};
}

const escapes: Readonly<Record<string, string>> = {n: '\n', t: '\t', r: '\r'};

function unquote(token: string): string {
  return token.slice(1, -1).replaceAll(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? letter);
}

export function wrong(what: string): MachineError {
  return new MachineError('bad-setting', `the template cannot be used: ${what}`, {
    remedy: "for instance '{{.Name}}: {{.State}}'",
  });
}
