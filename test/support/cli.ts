/** Runs the operator command as a user does, against the tests' own home. */
import {join} from 'node:path';
import {exec, type ExecResult} from '../../services/common/exec.ts';

/** The command as it is installed. */
export const launcher = join(import.meta.dirname, '../../services/cli/hawser');

/** Set by `npm test`: a home that holds an image and its keys. */
export function testHome(): string {
  const home = process.env['HAWSER_TEST_HOME'];
  if (home === undefined)
    throw new Error('HAWSER_TEST_HOME is not set: run this suite by npm test -- machines');
  return home;
}

/** An environment that has nothing of this machine's but its programs: home, cache and images lie below `home`. */
export function environmentOf(home: string): Record<string, string> {
  const {PATH = '/usr/sbin:/usr/bin:/sbin:/bin'} = process.env;
  return {PATH, HOME: home, HAWSER_HOME: home, HAWSER_CACHE: join(home, 'cache')};
}

export interface CliOptions {
  readonly home: string;
  readonly seconds: number;
  /** Exit codes that count as success; only 0 when absent. */
  readonly okCodes?: readonly number[];
}

export async function hawser(args: readonly string[], options: CliOptions): Promise<ExecResult> {
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return exec([launcher, ...args], {
    timeoutMs: options.seconds * 1000,
    env: {...Object.fromEntries(inherited), HAWSER_HOME: options.home},
    ...(options.okCodes === undefined ? {} : {okCodes: options.okCodes}),
  });
}
