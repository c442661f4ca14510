/** `machine ls`. */
import {UsageError, flagBoolean, flagInteger, flagList, flagString} from '../../services/common/command.ts';
import type {Command, CommandContext, CommandInput} from '../../services/common/command.ts';
import {renderFormat, renderTable} from '../format/listing.ts';
import {filterKeys, matches, observeAll} from '../listing.ts';
import type {Filter, Row} from '../listing.ts';
import {positive, wantsJson} from './create.ts';
import {openDeps} from './run.ts';
import type {Tools} from './run.ts';

export function listCommand(tools: Tools): Command {
  return {
    name: 'machine ls',
    summary: 'list machines',
    arguments: {min: 0, max: 0},
    flags: [
      {name: 'quiet', short: 'q', type: 'boolean', summary: 'names only'},
      {
        name: 'filter',
        type: 'list',
        summary: 'name=REGEX, driver=NAME, state=STATE or label=NAME=VALUE; one key given twice means either',
      },
      {
        name: 'timeout',
        short: 't',
        type: 'integer',
        default: 10,
        summary: 'seconds to wait for each machine',
      },
      {
        name: 'format',
        short: 'f',
        type: 'string',
        summary: 'Go template, for instance \'{{.Name}} {{.URL}}\', with "table" before it for a table',
      },
      {name: 'output', type: 'string', default: 'text', summary: 'text or json'},
    ],
    run: (context, input) => run(tools, context, input),
  };
}

async function run(tools: Tools, context: CommandContext, input: CommandInput): Promise<number> {
  const filters = flagList(input.flags, 'filter').map(parseFilter);
  const json = wantsJson(input);
  const timeoutMs = positive('timeout', flagInteger(input.flags, 'timeout') ?? 10) * 1000;
  const deps = await openDeps(tools, context);
  const names = (await deps.store.names()).filter(name =>
    matches(
      {name, driver: '', state: 'None', labels: {}},
      filters.filter(filter => filter.key === 'name'),
    ),
  );
  const quiet = flagBoolean(input.flags, 'quiet');
  // docker-machine: bare names need no machine to be asked, unless a filter speaks of what only asking tells.
  if (quiet && !json && filters.every(filter => filter.key === 'name')) {
    for (const name of names) context.print(name);
    return 0;
  }
  const rows = (await observeAll(deps, names, context.env['DOCKER_HOST'], timeoutMs)).filter(row =>
    matches(row, filters),
  );
  for (const line of render(rows, quiet, json, flagString(input.flags, 'format'))) context.print(line);
  return 0;
}

function render(
  rows: readonly Row[],
  quiet: boolean,
  json: boolean,
  format: string | undefined,
): readonly string[] {
  if (json) return [JSON.stringify(quiet ? rows.map(row => row.name) : rows)];
  if (quiet) return rows.map(row => row.name);
  return format === undefined ? renderTable(rows) : renderFormat(format, rows);
}

/** Reads `key=value`. Throws UsageError. */
export function parseFilter(text: string): Filter {
  const [, word = '', value = ''] = /^([a-z]+)=(.*)$/.exec(text) ?? [];
  const key = filterKeys.find(known => known === word);
  if (key === undefined) {
    throw new UsageError('bad-value', `--filter is "${text}"`, {
      remedy: 'give name=REGEX, driver=NAME, state=STATE or label=NAME=VALUE',
    });
  }
  if (key === 'name') {
    try {
      RegExp(value);
    } catch (error) {
      throw new UsageError('bad-value', `--filter name=${value} is not a regular expression`, {
        cause: error,
        remedy: 'for instance name=^web',
      });
    }
  }
  return {key, value};
}
