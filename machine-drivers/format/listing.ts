/** How `machine ls` is shown: docker-machine's table, or a Go template over its fields. Pure. */
import type {Row} from '../listing.ts';
import {parseTemplate} from './template-parse.ts';
import {renderTemplate} from './template.ts';

/** docker-machine's fields and the headings that it gives them; what is gone with standalone Swarm stays empty. */
const headings = {
  Name: 'NAME',
  Active: 'ACTIVE',
  ActiveHost: 'ACTIVE_HOST',
  ActiveSwarm: 'ACTIVE_SWARM',
  DriverName: 'DRIVER',
  State: 'STATE',
  URL: 'URL',
  Swarm: 'SWARM',
  SwarmOptions: 'SWARM_OPTIONS',
  EngineOptions: 'ENGINE_OPTIONS',
  DockerVersion: 'DOCKER',
  Error: 'ERRORS',
  ResponseTime: 'RESPONSE',
  Labels: 'LABELS',
} as const;

type Fields = Readonly<Record<keyof typeof headings, unknown>>;

const columns = ['Name', 'Active', 'DriverName', 'State', 'URL', 'Swarm', 'DockerVersion', 'Error'] as const;

/** The table, with docker-machine's columns. */
export function renderTable(rows: readonly Row[]): string[] {
  return align([
    columns.map(column => headings[column]),
    ...rows.map(row => {
      const fields = fieldsOf(row);
      return columns.map(column => String(fields[column]));
    }),
  ]);
}

/** One text a machine, or with `table` before the template a table. Throws `bad-setting`. */
export function renderFormat(format: string, rows: readonly Row[]): string[] {
  const table = /^table\b/.test(format);
  const template = (table ? format.slice('table'.length) : format)
    .trim()
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  // An empty list does not hide a template that cannot be used.
  parseTemplate(template);
  const lines = rows.map(row => renderTemplate(template, fieldsOf(row)));
  if (!table) return lines;
  return align([renderTemplate(template, headings), ...lines].map(line => line.split('\t')));
}

function fieldsOf(row: Row): Fields {
  return {
    Name: row.name,
    Active: row.active ? '*' : '-',
    ActiveHost: row.active,
    ActiveSwarm: false,
    DriverName: row.driver,
    State: row.state,
    URL: row.url,
    Swarm: '',
    SwarmOptions: {},
    EngineOptions: {Labels: Object.entries(row.labels).map(([name, value]) => `${name}=${value}`)},
    DockerVersion: row.docker,
    Error: row.error.replaceAll(/\s*\n\s*/g, ' '),
    ResponseTime: `${row.responseMs}ms`,
    Labels: row.labels,
  };
}

function align(table: ReadonlyArray<readonly string[]>): string[] {
  const widths: number[] = [];
  for (const line of table)
    line.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return table.map(line =>
    line
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
      .join('')
      .trimEnd(),
  );
}
