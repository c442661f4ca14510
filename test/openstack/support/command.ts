/** The real command, as an operator of the lab types it. */
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {exec} from '../../../services/common/exec.ts';
import type {ExecResult} from '../../../services/common/exec.ts';
import {environmentOf, launcher} from '../../support/cli.ts';

const TIMEOUT_MS = 600_000;

export interface Operator {
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  /** Any exit code is an answer. */
  run(words: readonly string[], over?: Readonly<Record<string, string>>): Promise<ExecResult>;
  /** Throws for an exit code other than 0. */
  must(words: readonly string[]): Promise<string>;
}

export async function operatorOf(home: string, lab: string): Promise<Operator> {
  await mkdir(home, {recursive: true});
  const env = {
    ...environmentOf(home),
    OS_CLIENT_CONFIG_FILE: join(lab, 'clouds.yaml'),
    OS_CLOUD: 'hawser',
    HAWSER_DRIVER: 'openstack',
  };
  const codes = Array.from({length: 256}, (_, code) => code);
  const run = (words: readonly string[], over: Readonly<Record<string, string>> = {}) =>
    exec([launcher, ...words], {timeoutMs: TIMEOUT_MS, okCodes: codes, env: {...env, ...over}});
  return {
    home,
    env,
    run,
    must: async words => (await exec([launcher, ...words], {timeoutMs: TIMEOUT_MS, env})).stdout.trim(),
  };
}
