/** `node infra/labs/first-boot/main.ts [--image FOLDER] [--logs FOLDER] [CASE...]`: real first boots, one after another. */
import {realpath} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
// The campaign lies with the tests, whose harness it uses.
// oxlint-disable no-restricted-imports
import {cases} from '../../../test/vm/first-boot/cases.ts';
import {runCase, type CaseResult} from '../../../test/vm/first-boot/lab.ts';

const usage = 'usage: node infra/labs/first-boot/main.ts [--image FOLDER] [--logs FOLDER] [--list] [CASE...]';

async function main(argv: readonly string[]): Promise<number> {
  const {values, positionals} = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {image: {type: 'string'}, logs: {type: 'string'}, list: {type: 'boolean', default: false}},
  });
  if (values.list) {
    for (const {name, title} of cases) console.log(`${name.padEnd(16)} ${title}`);
    return 0;
  }
  const unknown = positionals.filter(name => !cases.some(test => test.name === name));
  if (unknown.length > 0) {
    console.error(`first-boot: no case ${unknown.join(', ')}: --list names them\n${usage}`);
    return 2;
  }
  const home = process.env['HAWSER_HOME'] ?? join(homedir(), '.local/share/hawser');
  const image = await realpath(values.image ?? join(home, 'images/current'));
  console.log(`image ${image}`);
  const results: CaseResult[] = [];
  for (const test of cases) {
    if (positionals.length > 0 && !positionals.includes(test.name)) continue;
    console.log(`${test.name}: ${test.title}`);
    const result = await runCase(test, {image, logs: values.logs, print: text => console.log(text)});
    results.push(result);
    if (result.failure !== undefined) console.log(result.failure.replace(/^/gm, '    '));
    console.log(`${line(result)}\n`);
  }
  for (const result of results) console.log(line(result));
  const passed = results.filter(result => result.passed).length;
  console.log(`${passed} passed, ${results.length - passed} failed`);
  return passed === results.length ? 0 : 1;
}

function line(result: CaseResult): string {
  const word = result.passed ? 'PASS' : 'FAIL';
  return `${word} ${result.name.padEnd(16)} ${result.wallSeconds.toFixed(0).padStart(5)} s wall ${result.cpuSeconds.toFixed(0).padStart(5)} CPU s`;
}

// The VMs go with the process; folders are removed by each case.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
process.exitCode = await main(process.argv.slice(2));
