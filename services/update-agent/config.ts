/** What the machine was told: `/etc/hawser/update.json`, and who it is. */
import {readFile} from 'node:fs/promises';
import {Type} from 'typebox';
import {AgentConfig, agentFiles} from '../common/contracts/agent.ts';
import {systemErrorCode} from '../common/errors.ts';
import {parseJson, ParseError} from '../common/parse.ts';
import {UpdateAgentError} from './errors.ts';
import type {AgentSettings} from './ports.ts';

export const defaults = {
  pollSeconds: 300,
  drainSeconds: 300,
  leaveSeconds: 10,
  healthSeconds: 300,
  settleSeconds: 10,
  /** A boot, beside drain and proof. */
  rebootSeconds: 600,
} as const;

const Enrolled = Type.Object({name: Type.String({minLength: 1, maxLength: 64})});

/** Throws {@link UpdateAgentError} `bad-config`. */
export async function readConfig(path: string = agentFiles.config): Promise<AgentConfig> {
  try {
    return parseJson(AgentConfig, await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof ParseError) throw new UpdateAgentError('bad-config', error.message, {cause: error});
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new UpdateAgentError('bad-config', `${path} is not there: this machine has no update server`);
  }
}

/** The name that the machine was enrolled under, or its host name. */
export async function readName(enrolled: string, hostname: string): Promise<string> {
  try {
    return parseJson(Enrolled, await readFile(enrolled, 'utf8'), enrolled).name;
  } catch (error) {
    if (error instanceof ParseError || systemErrorCode(error) === 'ENOENT')
      return hostname.slice(0, 64) || 'machine';
    throw error;
  }
}

export function settingsOf(config: AgentConfig, name: string): AgentSettings {
  const {drain, health} = config;
  const drainSeconds =
    (drain?.timeoutSeconds ?? defaults.drainSeconds) * 2 + (drain?.leaveSeconds ?? defaults.leaveSeconds);
  const healthSeconds =
    (health?.timeoutSeconds ?? defaults.healthSeconds) + (health?.settleSeconds ?? defaults.settleSeconds);
  return {
    name,
    labels: config.labels ?? {},
    repositories: config.repositories ?? [],
    pollSeconds: config.pollSeconds ?? defaults.pollSeconds,
    onDrainTimeout: drain?.onTimeout ?? 'wait',
    // Back and forth: the way down, and after a fall-back the way up again.
    expectedSeconds: Math.min(86_400, drainSeconds * 2 + 2 * (healthSeconds + defaults.rebootSeconds)),
  };
}
