/** What a scalar means where a given type is expected: Butane's reading of YAML, and the strict one of JSON. */
import type {SourceNode, SourceScalar} from './source.ts';

/** `null`, `~` and nothing at all: the field counts as absent. */
export function isNull(node: SourceScalar): boolean {
  return node.style === 'plain' && /^(?:null|Null|NULL|~|)$/u.test(node.text);
}

/** YAML 1.1's words count too, as in Butane; JSON knows `true` and `false` only. */
export function booleanOf(node: SourceScalar, strict: boolean): boolean | undefined {
  if (node.style !== 'plain') return undefined;
  if (strict) return node.text === 'true' ? true : node.text === 'false' ? false : undefined;
  if (/^(?:true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/u.test(node.text)) return true;
  if (/^(?:false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/u.test(node.text)) return false;
  return undefined;
}

/** Whole numbers. In YAML a leading 0 means octal (`mode: 0644`), as `0o`, `0x` and `0b` say their base. */
export function integerOf(node: SourceScalar, strict: boolean): number | undefined {
  if (node.style !== 'plain') return undefined;
  const value = strict ? decimal(node.text) : yamlInteger(node.text.replaceAll('_', ''));
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

function decimal(text: string): number | undefined {
  return /^-?(?:0|[1-9]\d*)$/u.test(text) ? Number(text) : undefined;
}

function yamlInteger(text: string): number | undefined {
  const match = /^([+-]?)(0[xX][\da-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)$/u.exec(text);
  const digits = match?.[2];
  if (digits === undefined) return undefined;
  const value = /^0[0-7]+$/u.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return match?.[1] === '-' ? -value : value;
}

/** What was found, in the words of a message. */
export function kindOf(node: SourceNode): string {
  if (node.kind === 'map') return 'a mapping';
  if (node.kind === 'list') return 'a list';
  if (node.style !== 'plain') return 'text in quotes';
  if (isNull(node)) return 'nothing';
  if (/^[-+]?\d[\d._]*$/u.test(node.text)) return `the number ${node.text}`;
  if (node.text === 'true' || node.text === 'false') return node.text;
  const shown = node.text.length > 40 ? `${node.text.slice(0, 40)}...` : node.text;
  return `"${shown}"`;
}
