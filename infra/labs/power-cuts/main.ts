/** The campaign of power cuts: record, check, boot, one after another or each by itself. See README.md. */
import {mkdir, mkdtemp, realpath, rm} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {readFile} from 'node:fs/promises';
import {describeError} from '../../../services/common/errors.ts';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
// oxlint-disable-next-line no-restricted-imports -- the campaign drives the machine as the tests do
import {runCase, type Case} from '../../../test/vm/first-boot/lab.ts';
import {bootCut, riskiest} from './boots.ts';
import {runCampaign, type Judged} from './campaign.ts';
import {record} from './record.ts';
import {reportLines} from './report.ts';

const usage = `usage: node infra/labs/power-cuts/main.ts --folder FOLDER [--images OLD,NEW[,NEWER]] [--disk-gib 8]
         [--work FOLDER] [--cuts 3000] [--root-every 4] [--seed N] [--ignore-flushes] [--boots 10] [--skip-boots 0]
         [record] [check] [boot]`;
const steps = ['record', 'check', 'boot'] as const;

async function main(argv: readonly string[]): Promise<number> {
  const {values, positionals} = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      folder: {type: 'string'},
      images: {type: 'string'},
      'disk-gib': {type: 'string', default: '8'},
      work: {type: 'string', default: '/dev/shm'},
      cuts: {type: 'string', default: '3000'},
      'root-every': {type: 'string', default: '4'},
      seed: {type: 'string', default: '1'},
      'ignore-flushes': {type: 'boolean', default: false},
      boots: {type: 'string', default: '10'},
      'skip-boots': {type: 'string', default: '0'},
    },
  });
  const {folder} = values;
  if (folder === undefined || positionals.some(word => !steps.some(step => step === word))) {
    console.error(usage);
    return 2;
  }
  const wanted = (step: (typeof steps)[number]) => positionals.length === 0 || positionals.includes(step);
  await mkdir(folder, {recursive: true});
  if (wanted('record')) {
    const images = await Promise.all(imagesOf(values.images).map(path => realpath(path)));
    const diskGiB = Number(values['disk-gib']);
    const run: Case['run'] = lab => record(lab, {images, folder, diskGiB});
    if (!(await runOne({name: 'record', run}, images[0] ?? '', folder))) return 1;
  }
  const verdicts = join(folder, 'verdicts.json');
  const work = await mkdtemp(join(values.work, 'power-cuts-'));
  try {
    let violations = 0;
    if (wanted('check')) {
      const begun = Date.now();
      const interrupt = new AbortController();
      const result = await runCampaign({
        folder,
        work,
        cuts: Number(values.cuts),
        rootEvery: Number(values['root-every']),
        seed: Number(values.seed),
        ignoreFlushes: values['ignore-flushes'],
        signal: interrupt.signal,
        log: line => console.log(`${((Date.now() - begun) / 1000).toFixed(0).padStart(5)} s  ${line}`),
      });
      for (const line of reportLines(result)) console.log(line);
      violations = result.judged.filter(one => one.problems.length > 0).length;
      if (!values['ignore-flushes']) await writeFileAtomic(verdicts, JSON.stringify(result.judged), 0o644);
    }
    if (wanted('boot')) {
      // Written by the step before.
      const judged = JSON.parse(await readFile(verdicts, 'utf8')) as Judged[];
      const chosen = riskiest(judged, Number(values.boots)).slice(Number(values['skip-boots']));
      for (const [index, cut] of chosen.entries()) {
        console.log(
          `boot ${index + 1} of ${chosen.length}: cut ${cut.cut.at}, seed ${cut.cut.seed}, ${cut.after}`,
        );
        console.log(
          `    unflushed in ${cut.areas.join(', ')}; ${cut.verdict.remarks.join('; ') || 'nothing torn'}`,
        );
        const run: Case['run'] = lab => bootCut(lab, {folder, work, cut});
        if (!(await runOne({name: `boot-${cut.cut.at}`, run}, '', folder))) violations += 1;
      }
    }
    return violations === 0 ? 0 : 1;
  } finally {
    await rm(work, {recursive: true, force: true});
  }
}

async function runOne(
  {name, run}: Pick<Case, 'name' | 'run'>,
  image: string,
  logs: string,
): Promise<boolean> {
  const test: Case = {name, title: name, limitSeconds: 3600, run};
  const result = await runCase(test, {image, logs, print: line => console.log(line)});
  if (result.failure !== undefined) console.log(result.failure.replace(/^/gm, '    '));
  const word = result.failure === undefined ? 'PASS' : 'FAIL';
  console.log(
    `${word} ${name} ${result.wallSeconds.toFixed(0)} s wall, ${result.cpuSeconds.toFixed(0)} CPU s`,
  );
  return result.failure === undefined;
}

/** Where `npm test -- updates` leaves its images, unless others are named. */
function imagesOf(named: string | undefined): string[] {
  if (named !== undefined) return named.split(',');
  const home = join(process.env['HAWSER_CACHE'] ?? join(homedir(), '.cache/hawser'), 'test-home');
  return ['images/current', 'update-chain/0.1.1/images/current', 'update-chain/0.1.2/images/current'].map(
    path => join(home, path),
  );
}

// VMs end with the process; folders are removed by each case.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`power-cuts: ${describeError(error)}`);
  process.exitCode = 1;
}
