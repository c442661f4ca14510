/**
 * The translation from the operator's text to an Ignition 3.3.0 config. Pure: text and a port for local files in,
 * config and problems out. All problems of a file are found in one run.
 */
import {parseValue} from '../../common/parse.ts';
import {ButaneConfig, variants, type VariantName} from './butane-schema.ts';
import type {CheckContext} from './check-context.ts';
import {checkDisks} from './check-disks.ts';
import {checkDuplicates} from './check-duplicates.ts';
import {checkFiles, checkIgnitionSection, checkUnits} from './check-files.ts';
import {checkBootDevice, checkConveniences, conveniences} from './conveniences.ts';
import {desugar} from './desugar.ts';
import {mergeConfigs} from './merge.ts';
import {IgnitionConfig, ignitionVersion} from './ignition-schema.ts';
import {checkLimits} from './limits.ts';
import {createMarks} from './marks.ts';
import {mountUnits} from './mount-units.ts';
import type {Gzip, ReadLocal} from './ports.ts';
import {createReport, hasErrors, type Problem, type Report} from './problem.ts';
import {readNode} from './read.ts';
import {parseSource, type SourceMap} from './source.ts';
import {readHeader} from './header.ts';

export interface TranslateOptions {
  /** Stands before every problem. */
  readonly fileName: string;
  /** Absent where no local files may be read: `local` and `trees` are then refused. */
  readonly readLocal?: ReadLocal | undefined;
  /** Absent: contents are not compressed. */
  readonly gzip?: Gzip | undefined;
}

export interface Translation {
  /** Absent when the report has an error. */
  readonly ignition?: IgnitionConfig;
  readonly report: readonly Problem[];
}

/** Translates `text`: YAML of a known variant, or Ignition JSON 3.0 to 3.3. Never throws for what `text` says. */
export function translate(text: string, options: TranslateOptions): Translation {
  const report = createReport(options.fileName);
  const ignition = translateSource(text, options, report);
  const problems = report.problems();
  return ignition === undefined || hasErrors(problems) ? {report: problems} : {ignition, report: problems};
}

function translateSource(
  text: string,
  options: TranslateOptions,
  report: Report,
): IgnitionConfig | undefined {
  const source = parseSource(text, report);
  if (source === undefined) return undefined;
  const header = readHeader(source, text, report);
  if (header === undefined) return undefined;
  return header.kind === 'ignition'
    ? readIgnition(header.source, header.minor, report)
    : translateButane(header.source, header.variant, options, report);
}

function readIgnition(source: SourceMap, minor: number, report: Report): IgnitionConfig | undefined {
  const context = {report, marks: createMarks(), naming: 'camel' as const, minor};
  const value = readNode(source, IgnitionConfig, context);
  const config = parseValue(IgnitionConfig, value, 'the config as read');
  checkConfig(config, undefined, context);
  return {...config, ignition: {...config.ignition, version: ignitionVersion}};
}

function translateButane(
  source: SourceMap,
  variant: VariantName,
  options: TranslateOptions,
  report: Report,
): IgnitionConfig | undefined {
  const {readLocal, gzip} = options;
  const context = {report, marks: createMarks(), naming: 'snake' as const, minor: 3, readLocal, gzip};
  const read = readNode(source, variants[variant].schema, context);
  const config = parseValue(ButaneConfig, read, 'the config as read');
  const plain = desugar(config, context);
  const units = mountUnits(config, context);
  checkConfig(plain, variant, context);
  if (config.bootDevice !== undefined) checkBootDevice(config.bootDevice, context);
  checkConveniences(config, context);
  if (hasErrors(report.problems())) return undefined;
  // The operator's own units win over generated ones, as in Butane.
  const generated =
    units.length === 0 ? plain : mergeConfigs({ignition: plain.ignition, systemd: {units}}, plain);
  return mergeConfigs(conveniences(config), generated);
}

function checkConfig(config: IgnitionConfig, variant: VariantName | undefined, context: CheckContext): void {
  checkDuplicates(IgnitionConfig, config, context);
  checkIgnitionSection(config, context);
  if (config.storage !== undefined) {
    checkDisks(config.storage, context);
    checkFiles(config.storage, context);
  }
  checkUnits(config.systemd?.units ?? [], context);
  checkLimits(config, variant, context);
}
