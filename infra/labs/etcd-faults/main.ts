/** `node infra/labs/etcd-faults/main.ts [--minutes N] [--seed N] [--machines N] [--slots N] [--json FILE]`. */
import {parseArgs} from 'node:util';
import {describeError} from '../../../services/common/errors.ts';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {runCampaign} from './campaign.ts';

async function main(argv: readonly string[]): Promise<number> {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      minutes: {type: 'string', default: '10'},
      seed: {type: 'string', default: String(Math.floor(Math.random() * 2 ** 31))},
      machines: {type: 'string', default: '12'},
      slots: {type: 'string', default: '3'},
      'break-compare': {type: 'boolean', default: false},
      json: {type: 'string'},
    },
  });
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupt.abort(new Error(name)));
  const seed = Number(values.seed);
  console.log(`seed ${seed}, ${values.machines} machines, ${values.slots} slots, ${values.minutes} minutes`);
  const begun = Date.now();
  const {verdict, faults, history} = await runCampaign({
    seed,
    seconds: Number(values.minutes) * 60,
    machines: Number(values.machines),
    slots: Number(values.slots),
    breakCompare: values['break-compare'],
    signal: interrupt.signal,
    log: line => console.log(`${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${line}`),
  });
  if (values.json !== undefined) await writeFileAtomic(values.json, JSON.stringify(history), 0o644);
  console.log(
    `faults: ${Object.entries(faults)
      .map(([kind, times]) => `${times} ${kind}`)
      .sort()
      .join(', ')}`,
  );
  for (const [name, value] of Object.entries(verdict.figures)) console.log(`${name.padEnd(14)} ${value}`);
  for (const violation of verdict.violations) console.log(`VIOLATION ${violation}`);
  console.log(verdict.violations.length === 0 ? 'no violation' : `${verdict.violations.length} violations`);
  return verdict.violations.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`etcd-faults: ${describeError(error)}`);
  process.exitCode = 1;
}
