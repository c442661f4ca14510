/** `hawser-enrol`: how a machine gets its certificates on its first boot. Commands: README.md. */
import process from 'node:process';
import {parseArgs} from 'node:util';
import {systemClock} from '../common/clock.ts';
import {describeError} from '../common/errors.ts';
import {acceptGrant} from './accept.ts';
import {EnrolAgentError} from './errors.ts';
import {layoutUnder, type Layout} from './layout.ts';
import {makeRequest} from './request.ts';
import {readConfig, readEnrolled, readIfThere} from './state.ts';
import {waitUntilEnrolled} from './wait.ts';

const USAGE =
  'usage: hawser-enrol request [--wait SECONDS] | show | accept | wait [--seconds SECONDS]   [--root FOLDER]';
const SERVER_SECONDS = 120;
const MAX_GRANT_BYTES = 64 * 1024;

async function run(argv: readonly string[]): Promise<number> {
  const {values, positionals} = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      root: {type: 'string', default: '/'},
      wait: {type: 'string'},
      seconds: {type: 'string', default: '180'},
    },
  });
  const layout = layoutUnder(values.root);
  const [command = '', ...rest] = positionals;
  if (rest.length > 0) return usage();
  switch (command) {
    case 'request':
      return request(layout, values.wait === undefined ? undefined : toSeconds(values.wait));
    case 'show':
      return show(layout);
    case 'accept':
      await acceptGrant(layout, await readInput());
      return 0;
    case 'wait':
      return wait(layout, toSeconds(values.seconds));
    default:
      return usage();
  }
}

async function request(layout: Layout, waitSeconds: number | undefined): Promise<number> {
  const config = await readConfig(layout);
  if (config === undefined) {
    if ((await readEnrolled(layout)) !== undefined) return 0;
    throw new EnrolAgentError(
      'not-configured',
      `${layout.config} is not there: this machine was not told to enrol`,
    );
  }
  const made = await makeRequest(layout, config);
  if (config.server === undefined) return waitSeconds === undefined ? 0 : wait(layout, waitSeconds);
  // Loaded only by machines that have a server: it costs start-up time.
  const {callServer} = await import('./call-server.ts');
  try {
    const grant = await callServer({
      server: config.server,
      request: made,
      seconds: waitSeconds ?? SERVER_SECONDS,
      random: Math.random,
      pause: ms => waitUntilEnrolled(layout, ms / 1000, systemClock),
      onRetry: reason => console.error(`the server is asked again: ${reason}`),
      monotonicMs: () => performance.now(),
    });
    if (grant !== undefined) await acceptGrant(layout, grant);
  } catch (error) {
    // The other road is still open, and Docker must start: not a failure of the boot.
    if (!(error instanceof EnrolAgentError) || error.code !== 'unreachable') throw error;
    warn(describeError(error));
  }
  return 0;
}

async function show(layout: Layout): Promise<number> {
  const json = await readIfThere(layout.request);
  if (json === undefined) {
    throw new EnrolAgentError(
      'not-requested',
      (await readEnrolled(layout)) === undefined
        ? 'there is no request yet'
        : 'this machine is enrolled already',
    );
  }
  process.stdout.write(json);
  return 0;
}

async function wait(layout: Layout, seconds: number): Promise<number> {
  if (!(await waitUntilEnrolled(layout, seconds, systemClock))) {
    warn(
      `not enrolled after ${seconds} s: Docker starts without its TCP port, which opens once a grant has come`,
    );
  }
  return 0;
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length > MAX_GRANT_BYTES) throw new EnrolAgentError('bad-grant', 'the grant is too long');
  }
  return Buffer.concat(chunks).toString('utf8');
}

function toSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds >= 0 && seconds <= 86_400) return seconds;
  throw new Error(`"${text}" is not a number of seconds`);
}

/** sd-daemon(3): the prefix gives the line its priority in the journal. */
function warn(line: string): void {
  console.error(`<4>${line}`);
}

function usage(): number {
  console.error(USAGE);
  return 1;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
