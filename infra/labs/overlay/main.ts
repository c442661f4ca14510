/** `node infra/labs/overlay/main.ts [--minutes N] [--seed N] [--machines N] [--wipes N] [--json FILE]`: the campaign. */
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
      machines: {type: 'string', default: '5'},
      wipes: {type: 'string', default: '2'},
      json: {type: 'string'},
    },
  });
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupt.abort(new Error(name)));
  console.log(`seed ${values.seed}, ${values.machines} machines, ${values.minutes} minutes`);
  const begun = performance.now();
  const {history, violations, figures} = await runCampaign({
    seed: Number(values.seed),
    seconds: Number(values.minutes) * 60,
    machines: Number(values.machines),
    wipes: Number(values.wipes),
    signal: interrupt.signal,
    log: line => console.log(`${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${line}`),
  });
  if (values.json !== undefined) await writeFileAtomic(values.json, JSON.stringify(history), 0o644);
  for (const [what, value] of Object.entries(figures)) console.log(`${what.padEnd(30)} ${value}`);
  for (const violation of violations) console.log(`VIOLATION ${violation}`);
  console.log(violations.length === 0 ? 'no violation' : `${violations.length} violations`);
  return violations.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`overlay campaign: ${describeError(error)}`);
  process.exitCode = 1;
}
