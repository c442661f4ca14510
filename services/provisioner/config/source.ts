/**
 * YAML (and JSON, which is YAML) as a tree in which everything knows its place. Scalars stay text: what `0644` or
 * `on` means depends on the field, as in Butane.
 */
import {LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument, type Node as YamlNode} from 'yaml';
import {startOfFile, type Place, type Report} from './problem.ts';

export interface SourceScalar {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly text: string;
  readonly style: 'plain' | 'quoted' | 'block';
  readonly weight: number;
}
export interface SourceList {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly SourceNode[];
  readonly weight: number;
}
export interface SourceField {
  readonly key: string;
  readonly keyPlace: Place;
  readonly value: SourceNode;
}
export interface SourceMap {
  readonly kind: 'map';
  readonly place: Place;
  readonly fields: readonly SourceField[];
  readonly weight: number;
}
export type SourceNode = SourceScalar | SourceList | SourceMap;

/** Characters of input. Ignition configs travel through user-data and fw_cfg: the useful ones are far smaller. */
const MAX_TEXT = 8 * 1024 * 1024;
/** What the document may weigh once every alias is written out: characters, and NODE_WEIGHT for each node. */
const MAX_EXPANDED = 32 * 1024 * 1024;
const NODE_WEIGHT = 64;

/** Parses `text`; problems of syntax go to `report`. Undefined when there is nothing to go on with. */
export function parseSource(text: string, report: Report): SourceNode | undefined {
  if (text.length > MAX_TEXT) {
    report.error(startOfFile, `the file is larger than ${MAX_TEXT / 1024 / 1024} MiB`);
    return undefined;
  }
  try {
    return parseUnbounded(text, report);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    report.error(startOfFile, 'the file is nested too deeply');
    return undefined;
  }
}

function parseUnbounded(text: string, report: Report): SourceNode | undefined {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    schema: 'failsafe',
    merge: true,
    lineCounter,
    prettyErrors: false,
    logLevel: 'error',
  });
  const placeAt = (offset: number): Place => {
    const {line, col} = lineCounter.linePos(offset);
    return {line: Math.max(1, line), column: Math.max(1, col)};
  };
  for (const error of document.errors) report.error(placeAt(error.pos[0]), syntaxMessage(error));
  for (const warning of document.warnings) {
    // The failsafe schema knows no numbers; the tags of the core schema say what the field's type says anyway.
    if (/tag:yaml\.org,2002:(int|float|bool|null)$/u.test(warning.message)) continue;
    report.error(placeAt(warning.pos[0]), warning.message);
  }
  if (document.errors.some(error => error.code !== 'DUPLICATE_KEY')) return undefined;
  if (document.contents === null || document.contents === undefined) {
    report.error(startOfFile, 'the file is empty');
    return undefined;
  }
  return createReader(placeAt, report)(document.contents);
}

function syntaxMessage(error: {code: string; message: string}): string {
  if (error.code === 'DUPLICATE_KEY') return 'this key is already set in the same mapping';
  if (error.code === 'MULTIPLE_DOCS') return 'only one YAML document may be in the file';
  return error.message.split('\n')[0] ?? error.message;
}

/** Turns the parser's nodes into ours. Aliases point at what was read before them, so a cycle cannot arise. */
function createReader(
  placeAt: (offset: number) => Place,
  report: Report,
): (root: YamlNode) => SourceNode | undefined {
  const anchors = new Map<string, SourceNode>();
  let tooHeavy = false;

  const scalar = (place: Place, text: string, style: SourceScalar['style']): SourceScalar => ({
    kind: 'scalar',
    place,
    text,
    style,
    weight: NODE_WEIGHT + text.length,
  });

  const read = (node: unknown, fallback: Place): SourceNode => {
    const place = isPlaced(node) ? placeAt(node.range[0]) : fallback;
    const result = convert(node, place);
    if (result.weight > MAX_EXPANDED) tooHeavy = true;
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined)
      anchors.set(node.anchor, result);
    return result;
  };

  const convert = (node: unknown, place: Place): SourceNode => {
    if (tooHeavy) return scalar(place, '', 'plain');
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined) report.error(place, `no anchor "&${node.source}" comes before this alias`);
      return target ?? scalar(place, '', 'plain');
    }
    if (isSeq(node)) {
      const items = node.items.map(item => read(item, place));
      return {kind: 'list', place, items, weight: totalWeight(items)};
    }
    if (isMap(node)) {
      const fields = mapFields(node.items, place);
      return {kind: 'map', place, fields, weight: totalWeight(fields.map(field => field.value))};
    }
    if (isScalar(node)) {
      const text = typeof node.value === 'string' ? node.value : '';
      const literal = node.type === 'BLOCK_LITERAL';
      const plain = node.type === 'PLAIN' && node.tag !== 'tag:yaml.org,2002:str';
      return scalar(
        literal ? {...place, block: true} : place,
        text,
        plain ? 'plain' : literal ? 'block' : 'quoted',
      );
    }
    return scalar(place, '', 'plain');
  };

  const mapFields = (pairs: readonly {key: unknown; value: unknown}[], mapPlace: Place): SourceField[] => {
    const own = new Map<string, SourceField>();
    const merged: SourceField[] = [];
    for (const {key, value} of pairs) {
      const keyPlace = isPlaced(key) ? placeAt(key.range[0]) : mapPlace;
      if (isScalar(key) && typeof key.value === 'symbol') {
        const source = read(value, keyPlace);
        if (!tooHeavy) merged.push(...mergedFields(source, report));
        continue;
      }
      if (!isScalar(key) || typeof key.value !== 'string') {
        report.error(keyPlace, 'keys must be plain text');
        continue;
      }
      const field = {key: key.value, keyPlace, value: read(value, keyPlace)};
      if (!own.has(field.key)) own.set(field.key, field);
    }
    // YAML merge: a key of the mapping itself wins, then the first source that has it.
    for (const field of merged) if (!own.has(field.key)) own.set(field.key, field);
    return [...own.values()];
  };

  return root => {
    const result = read(root, startOfFile);
    if (!tooHeavy) return result;
    report.error(startOfFile, 'the aliases of this file expand to more than 32 MiB');
    return undefined;
  };
}

function mergedFields(source: SourceNode, report: Report): readonly SourceField[] {
  if (source.kind === 'map') return source.fields;
  if (source.kind === 'list') return source.items.flatMap(item => mergedFields(item, report));
  report.error(source.place, '"<<" takes a mapping or a list of mappings');
  return [];
}

function totalWeight(nodes: readonly SourceNode[]): number {
  return nodes.reduce((sum, node) => sum + node.weight, NODE_WEIGHT);
}

function isPlaced(node: unknown): node is {range: [number, number, number]} {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range);
}
