/** What kind of config a file is: which variant and version, or which version of Ignition's own JSON. */
import {isVariant, variants, type VariantName} from './butane-schema.ts';
import {didYouMean} from './naming.ts';
import {startOfFile, type Place, type Report} from './problem.ts';
import type {SourceMap, SourceNode} from './source.ts';

export type Header =
  | {readonly kind: 'butane'; readonly variant: VariantName; readonly source: SourceMap}
  | {readonly kind: 'ignition'; readonly minor: number; readonly source: SourceMap};

/** The newest minor version of Ignition's specification 3 that a machine accepts. */
const MAX_MINOR = 3;

export function readHeader(source: SourceNode, text: string, report: Report): Header | undefined {
  if (source.kind !== 'map') {
    report.error(
      source.place,
      'a config is a mapping that starts with "variant: hawser" and "version: 1.0.0"',
    );
    return undefined;
  }
  const variant = find(source, 'variant');
  if (variant !== undefined) return readVariant(source, variant, report);
  const ignition = find(source, 'ignition');
  const version = ignition?.kind === 'map' ? find(ignition, 'version') : undefined;
  if (version === undefined) {
    const near = source.fields.find(field => didYouMean(field.key, ['variant']) !== '');
    const message =
      near === undefined
        ? 'missing field "variant"; write "variant: hawser"'
        : `unknown field "${near.key}" (did you mean "variant"?)`;
    report.error(near?.keyPlace ?? source.place, message);
    return undefined;
  }
  return readIgnitionHeader(source, version, text, report);
}

function readVariant(source: SourceMap, variant: SourceNode, report: Report): Header | undefined {
  const name = textOf(variant);
  if (!isVariant(name)) {
    const known = Object.keys(variants);
    report.error(
      variant.place,
      `unknown variant "${name}"${didYouMean(name, known)}; known are ${known.join(', ')}`,
    );
    return undefined;
  }
  const version = find(source, 'version');
  const wanted = variants[name].version;
  if (version === undefined) {
    report.error(variant.place, `missing field "version"; write "version: ${wanted}"`);
    return undefined;
  }
  if (textOf(version) !== wanted) {
    const newer = isNewer(textOf(version), wanted)
      ? `; newer ones need an Ignition that Hawser machines do not have`
      : '';
    report.error(
      version.place,
      `version "${textOf(version)}" of variant ${name} is not known; use ${wanted}${newer}`,
    );
    return undefined;
  }
  return {kind: 'butane', variant: name, source};
}

function readIgnitionHeader(
  source: SourceMap,
  version: SourceNode,
  text: string,
  report: Report,
): Header | undefined {
  const jsonProblem = strictJsonProblem(text);
  if (jsonProblem !== undefined) {
    report.error(jsonProblem.place, jsonProblem.message);
    return undefined;
  }
  const match = /^3\.(\d{1,3})\.0$/u.exec(textOf(version));
  const minor = Number(match?.[1]);
  if (match === null || minor > MAX_MINOR) {
    const message = `Ignition version "${textOf(version)}" is not accepted; use 3.0.0 to 3.${MAX_MINOR}.0`;
    report.error(version.place, message);
    return undefined;
  }
  return {kind: 'ignition', minor, source};
}

/** YAML is not enough for Ignition's own format: the machine would refuse it. */
function strictJsonProblem(text: string): {place: Place; message: string} | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = /line (\d+) column (\d+)/u.exec(message);
    const place = position === null ? startOfFile : {line: Number(position[1]), column: Number(position[2])};
    const reason = message.replace(/(?: in JSON at position|, ").*$/su, '');
    return {
      place,
      message: `an Ignition config must be JSON (${reason}); a config in YAML needs "variant: hawser"`,
    };
  }
}

function isNewer(version: string, than: string): boolean {
  const [a = [], b = []] = [version, than].map(text => text.split('.').map(Number));
  for (const [index, part] of a.entries()) {
    if (part !== b[index]) return part > (b[index] ?? 0);
  }
  return false;
}

function find(map: SourceMap, key: string): SourceNode | undefined {
  return map.fields.find(field => field.key === key)?.value;
}

function textOf(node: SourceNode): string {
  return node.kind === 'scalar' ? node.text : '';
}
