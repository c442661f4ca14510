/** The operator command. Reads the environment, lends the terminal to the command that was asked for. */
import {createRequire} from 'node:module';
import type {CommandContext} from '../common/command.ts';
import {createProgress} from '../common/progress.ts';
import {resolveRequest} from './dispatch.ts';
import {asHawser, dockerMachineName} from './docker-machine.ts';
import {listParts} from './parts.ts';
import {exitCodeOf, renderFailure} from './report.ts';

const INTERRUPTED = 130;

async function main(): Promise<number> {
  const interrupt = new AbortController();
  process.on('SIGINT', () => {
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort();
    process.stderr.write('hawser: stopping; press ^C again to leave at once\n');
  });
  process.on('SIGTERM', () => interrupt.abort());
  // A reader that goes away (`hawser machine ls | head -1`) is not an error.
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0);
    throw error;
  });

  const argv = process.argv.slice(2);
  let debug = argv.includes('--debug') || ['1', 'true', 'yes'].includes(process.env['HAWSER_DEBUG'] ?? '');
  try {
    const version = packageVersion();
    const called =
      process.env['HAWSER_CALLED_AS'] === dockerMachineName
        ? {...asHawser(argv, process.env), calledAs: dockerMachineName}
        : {argv, env: process.env};
    const request = await resolveRequest(listParts(), version, called.argv, called.env);
    if (request.kind === 'text') {
      process.stdout.write(`${request.text}\n`);
      return 0;
    }
    debug = request.debug;
    return await request.command.run(createContext(interrupt.signal, version, called), request.input);
  } catch (error) {
    for (const line of renderFailure(error, debug)) process.stderr.write(`${line}\n`);
    return exitCodeOf(error, interrupt.signal.aborted);
  }
}

function createContext(
  signal: AbortSignal,
  version: string,
  called: Pick<CommandContext, 'env' | 'calledAs'>,
): CommandContext {
  const {stdin, stdout, stderr} = process;
  const output = {
    isTTY: stderr.isTTY,
    get columns() {
      return stderr.columns ?? 80;
    },
    write: (text: string) => void stderr.write(text),
  };
  return {
    progress: createProgress(output, () => performance.now()),
    print: line => void stdout.write(`${line}\n`),
    warn: line => void stderr.write(`${line}\n`),
    env: called.env,
    ...(called.calledAs === undefined ? {} : {calledAs: called.calledAs}),
    version,
    cwd: process.cwd(),
    signal,
    interactive: stdin.isTTY && stderr.isTTY,
  };
}

function packageVersion(): string {
  const described: unknown = createRequire(import.meta.url)('../../package.json');
  const known = typeof described === 'object' && described !== null && 'version' in described;
  return known ? String(described.version) : 'unknown';
}

process.exitCode = await main();
