/** Looks at the machine: what health/verdict.ts judges. A check that cannot be made counts as not passed. */
import {readFile, stat} from 'node:fs/promises';
import {Type} from 'typebox';
import {exec} from '../../common/exec.ts';
import {parseValue} from '../../common/parse.ts';
import type {DockerApi} from '../adapters/docker.ts';
import {etcdHealthy, etcdMember} from '../adapters/etcd.ts';
import type {Observation} from './verdict.ts';

const TIMEOUT_MS = 30_000;
/** Failed in the moment in which they are looked at, and of no meaning for health. */
const ownUnits = /^hawser-(update|verdict)/;

const Containers = Type.Array(
  Type.Object({
    Id: Type.String(),
    Names: Type.Array(Type.String()),
    Labels: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
  }),
);
const Inspected = Type.Object({
  HostConfig: Type.Object({RestartPolicy: Type.Object({Name: Type.String()})}),
});

export async function observe(docker: DockerApi, osRelease: string): Promise<Observation> {
  const containers = await runningContainers(docker).catch(() => undefined);
  const etcd = await etcdMember();
  return {
    failedUnits: await failedUnits(),
    docker: containers !== undefined,
    containers: containers ?? [],
    ...(etcd === undefined ? {} : {etcd: await etcdHealthy(etcd)}),
    network: await hasRoute(),
    clock: await clockIsSet(osRelease),
  };
}

async function failedUnits(): Promise<string[]> {
  const argv = ['systemctl', 'list-units', '--state=failed', '--plain', '--no-legend', '--no-pager'];
  const {stdout} = await exec(argv, {timeoutMs: TIMEOUT_MS});
  return stdout
    .split('\n')
    .map(line => line.trim().split(/\s+/)[0] ?? '')
    .filter(unit => unit !== '' && !ownUnits.test(unit));
}

async function runningContainers(docker: DockerApi): Promise<string[]> {
  const list = parseValue(Containers, await docker.get('/containers/json'), "Docker's list of containers");
  const names: string[] = [];
  for (const {Id, Names, Labels} of list) {
    if (Labels?.['com.docker.swarm.task.id'] !== undefined) continue;
    const {HostConfig} = parseValue(Inspected, await docker.get(`/containers/${Id}/json`), 'a container');
    const name = Names[0]?.replace(/^\//, '');
    if (name !== undefined && !['', 'no'].includes(HostConfig.RestartPolicy.Name)) names.push(name);
  }
  return names.sort();
}

/** A default route, of either family: the second line of the kernel's table at the latest. */
async function hasRoute(): Promise<boolean> {
  const four = await readFile('/proc/net/route', 'utf8').catch(() => '');
  if (
    four
      .split('\n')
      .slice(1)
      .some(line => line.split('\t')[1] === '00000000')
  )
    return true;
  const six = await readFile('/proc/net/ipv6_route', 'utf8').catch(() => '');
  return six.split('\n').some(line => /^0{32} 00 /.test(line) && !line.trimEnd().endsWith(' lo'));
}

async function clockIsSet(osRelease: string): Promise<boolean> {
  try {
    // The image's files carry the time of its build.
    return Date.now() >= (await stat(osRelease)).mtimeMs;
  } catch {
    return true; // nothing to compare with
  }
}
