/** The etcd member of this machine, where it is one (`hawser cluster init|join` makes it so). */
import {readFile} from 'node:fs/promises';
import {Type} from 'typebox';
import type {ClusterFacts} from '../../common/contracts/lock.ts';
import {systemErrorCode} from '../../common/errors.ts';
import {exec} from '../../common/exec.ts';
import {parseJson} from '../../common/parse.ts';

/** Written by services/provisioner/cluster: etcdctl's environment, and by that the sign of a member. */
const controlFile = '/etc/hawser/etcdctl.env';
const TIMEOUT_MS = 20_000;

export type EtcdEnvironment = Readonly<Record<string, string>>;

const Members = Type.Object({
  header: Type.Object({cluster_id: Type.Union([Type.Number(), Type.String()])}),
  members: Type.Array(Type.Object({isLearner: Type.Optional(Type.Boolean())})),
});
const Endpoints = Type.Array(Type.Object({health: Type.Boolean()}));

/** etcdctl's environment, or undefined on a machine that is no member. */
export async function etcdMember(path = controlFile): Promise<EtcdEnvironment | undefined> {
  try {
    return parseEnvironment(await readFile(path, 'utf8'));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `NAME=value` lines, as a shell's `set -a; . FILE` takes them. */
export function parseEnvironment(text: string): EtcdEnvironment {
  const pairs = text.split('\n').flatMap(line => {
    const match = /^\s*(?:export\s+)?(ETCDCTL_[A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$/.exec(line);
    const [, name, ...values] = match ?? [];
    const value = values.find(one => one !== undefined);
    return name === undefined || value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

export async function etcdHealthy(environment: EtcdEnvironment): Promise<boolean> {
  try {
    await etcdctl(environment, ['endpoint', 'health']);
    return true;
  } catch {
    return false;
  }
}

/** What this member sees of its cluster. Throws when it sees nothing: a quorum that is not known is not there. */
export async function etcdFacts(environment: EtcdEnvironment): Promise<ClusterFacts> {
  const list = parseJson(
    Members,
    await etcdctl(environment, ['member', 'list', '-w', 'json']),
    'etcdctl member list',
  );
  const health = parseJson(
    Endpoints,
    await etcdctl(environment, ['endpoint', 'health', '--cluster', '-w', 'json']),
    'etcdctl endpoint health',
  );
  const voters = list.members.filter(member => member.isLearner !== true).length;
  return {
    kind: 'etcd',
    cluster: String(list.header.cluster_id),
    members: Math.max(1, voters),
    healthy: Math.min(voters, health.filter(endpoint => endpoint.health).length),
  };
}

async function etcdctl(environment: EtcdEnvironment, args: readonly string[]): Promise<string> {
  const env = {PATH: '/usr/sbin:/usr/bin', ETCDCTL_API: '3', ...environment};
  // `endpoint health` ends with 1 when any endpoint is not, and says which.
  return (
    await exec(['etcdctl', ...args], {
      timeoutMs: TIMEOUT_MS,
      env,
      okCodes: args[1] === 'health' && args.includes('json') ? [0, 1] : [0],
    })
  ).stdout;
}
