/**
 * Debian's control file format (deb822: Packages, Sources, Release, dpkg's status, copyright files).
 * Debian Policy chapter 5; field names are kept as written and are equal without regard to case.
 */
import {ContentsError} from './errors.ts';

/** One paragraph. The lines of a value are joined by `\n`, each without the blank that marks a continuation. */
export type Stanza = Map<string, string>;

/** All paragraphs of `text`. Throws {@link ContentsError} `bad-deb822` with the number of the line at fault. */
export function parseDeb822(text: string): Stanza[] {
  return [...readDeb822(text)];
}

/** The paragraphs of `text`, one at a time: for an index that is filtered while it is read. */
export function* readDeb822(text: string): Generator<Stanza, void, undefined> {
  const builder = createStanzaBuilder();
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const finished = builder.line(text.slice(start, end));
    if (finished !== undefined) yield finished;
    start = end + 1;
  }
  const last = builder.end();
  if (last !== undefined) yield last;
}

/** The paragraphs of a stream of text in pieces of any size (UTF-8 must be decoded before). */
export async function* streamDeb822(
  pieces: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<Stanza, void, undefined> {
  const builder = createStanzaBuilder();
  let partial = '';
  for await (const piece of pieces) {
    const lines = (partial + piece).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) {
      const finished = builder.line(line);
      if (finished !== undefined) yield finished;
    }
  }
  if (partial !== '') {
    const finished = builder.line(partial);
    if (finished !== undefined) yield finished;
  }
  const last = builder.end();
  if (last !== undefined) yield last;
}

/** The value of a field, found without regard to case (Policy 5.1), or undefined. */
export function field(stanza: ReadonlyMap<string, string>, name: string): string | undefined {
  const exact = stanza.get(name);
  if (exact !== undefined) return exact;
  const wanted = name.toLowerCase();
  for (const [key, value] of stanza) if (key.toLowerCase() === wanted) return value;
  return undefined;
}

interface StanzaBuilder {
  /** Takes one line without its newline; returns a paragraph when the line ends one. */
  line(raw: string): Stanza | undefined;
  end(): Stanza | undefined;
}

// Policy 5.1: printable US-ASCII but space and colon; the first character is neither `#` nor `-`.
const FIELD_NAME = /^[\u0021\u0022\u0024-\u002C\u002E-\u0039\u003B-\u007E][\u0021-\u0039\u003B-\u007E]*$/;
const BLANK = /^[ \t]*$/;

function createStanzaBuilder(): StanzaBuilder {
  let stanza: Stanza = new Map();
  let seen = new Set<string>();
  let current: string | undefined;
  let value: string[] = [];
  let number = 0;

  const fail = (why: string): never => {
    throw new ContentsError('bad-deb822', `line ${number} of a Debian control file ${why}`, {
      context: {line: number},
    });
  };
  const closeField = () => {
    if (current !== undefined) stanza.set(current, value.join('\n'));
    current = undefined;
    value = [];
  };
  const take = (): Stanza | undefined => {
    closeField();
    if (stanza.size === 0) return undefined;
    const finished = stanza;
    stanza = new Map();
    seen = new Set();
    return finished;
  };
  return {
    end: take,
    line: raw => {
      number += 1;
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      // Policy 5.1: lines of blanks separate paragraphs like empty ones.
      if (BLANK.test(line)) return take();
      const first = line[0];
      if (first === '#') return undefined;
      if (first === ' ' || first === '\t') {
        if (current === undefined) return fail('continues a field that never began');
        value.push(line.slice(1).trimEnd());
        return undefined;
      }
      const colon = line.indexOf(':');
      if (colon === -1) return fail('has no colon');
      const name = line.slice(0, colon);
      if (!FIELD_NAME.test(name)) return fail('has a field name that is not allowed');
      closeField();
      const folded = name.toLowerCase();
      if (seen.has(folded)) return fail(`repeats the field ${name}`);
      seen.add(folded);
      current = name;
      value.push(line.slice(colon + 1).trim());
      return undefined;
    },
  };
}
