/** Does one step of a plan. Every step can be done twice. */
import {parseJson} from '../../common/parse.ts';
import {ClusterError} from './errors.ts';
import {etcdPaths, etcdUnit} from './etcd.ts';
import type {Step} from './plan.ts';
import type {ClusterMachine, DockerAnswer, MemberAuthority} from './ports.ts';
import type {ClusterRecord} from './record.ts';
import {SwarmDetails, initRequest, joinRequest} from './swarm.ts';

const RUN_TIMEOUT_MS = 300_000;
const ROTATE_ATTEMPTS = 5;

export interface Execution {
  readonly record: ClusterRecord;
  readonly authority: MemberAuthority;
  readonly machine: (uuid: string) => ClusterMachine;
  /** Writes the record before the step counts as done. */
  readonly save: (record: ClusterRecord) => Promise<void>;
}

const words: Readonly<Record<Step['kind'], string>> = {
  certificate: 'etcd certificate',
  'docker-config': 'Docker without live-restore',
  'etcd-config': 'etcd configuration',
  'etcd-start': 'start etcd',
  'etcd-add': 'add to etcd as a learner',
  'etcd-promote': 'promote to a voting member of etcd',
  'swarm-init': 'found the Swarm',
  'swarm-note-tokens': 'Swarm join tokens are in use',
  'swarm-join': 'join the Swarm as a manager',
  'swarm-rotate': 'rotate the Swarm join tokens',
};

/** Says a step in words, for progress. */
export function describeStep(step: Step, name: (uuid: string) => string): string {
  return 'machine' in step ? `${name(step.machine)}: ${words[step.kind]}` : words[step.kind];
}

/** Returns the record as it is afterwards. */
export async function executeStep(step: Step, execution: Execution): Promise<ClusterRecord> {
  const {machine} = execution;
  let {record} = execution;
  switch (step.kind) {
    case 'certificate':
      await certify(machine(step.machine), execution.authority);
      break;
    case 'docker-config':
      // A reload is enough for this setting, and containers run on.
      await run(
        machine(step.machine),
        `${writeFile('/etc/docker/daemon.json', step.daemonJson, '0644')}
systemctl reload docker.service`,
      );
      break;
    case 'etcd-config':
      await run(
        machine(step.machine),
        [
          `mkdir -p /etc/hawser`,
          writeFile(etcdPaths.control, step.control, '0600'),
          // Last: its presence is what makes the machine a member.
          writeFile(etcdPaths.config, step.config, '0644'),
        ].join('\n'),
      );
      break;
    case 'etcd-start':
      await run(
        machine(step.machine),
        `systemctl enable ${etcdUnit}\nsystemctl start --no-block ${etcdUnit}`,
      );
      break;
    case 'etcd-add':
      await etcdctl(machine(step.via), [
        'member',
        'add',
        machine(step.machine).name,
        '--learner',
        `--peer-urls=${step.peerUrl}`,
      ]);
      break;
    case 'etcd-promote':
      // Refused until the learner has caught up: the loop asks again.
      await etcdctl(machine(step.via), ['member', 'promote', step.id], 'can only promote a learner member');
      break;
    case 'swarm-init':
      await swarmInit(machine(step.machine));
      break;
    case 'swarm-note-tokens':
      record = {...record, swarmTokensUsed: true};
      await execution.save(record);
      break;
    case 'swarm-join':
      await swarmJoin(machine(step.machine), step.via.map(machine));
      break;
    case 'swarm-rotate':
      await rotateTokens(machine(step.via));
      record = {...record, swarmTokensUsed: false};
      await execution.save(record);
      break;
  }
  return record;
}

/** The key is made on the machine and never leaves it. */
async function certify(machine: ClusterMachine, authority: MemberAuthority): Promise<void> {
  const {folder, key} = etcdPaths;
  const csr = await run(
    machine,
    `umask 077
mkdir -p ${folder}
if [ ! -s ${key} ]; then
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ${key}.new 2>/dev/null
  sync ${key}.new
  mv ${key}.new ${key}
fi
printf '[req]\\ndistinguished_name=subject\\n[subject]\\n' > ${folder}/request.conf
openssl req -new -sha256 -key ${key} -subj /CN=member -config ${folder}/request.conf
rm -f ${folder}/request.conf`,
  );
  const certificate = await authority.sign(csr, machine);
  await run(
    machine,
    [
      writeFile(etcdPaths.ca, authority.ca, '0644'),
      writeFile(etcdPaths.certificate, certificate, '0644'),
    ].join('\n'),
  );
}

async function run(machine: ClusterMachine, script: string): Promise<string> {
  return machine.run(`set -eu\n${script}\n`, {timeoutMs: RUN_TIMEOUT_MS});
}

/** Lines of a script that make `path` the new contents, or leave the old. */
function writeFile(path: string, contents: string, mode: string): string {
  const base64 = Buffer.from(contents, 'utf8').toString('base64');
  return [
    `printf %s ${base64} | base64 -d > ${path}.new`,
    `chmod ${mode} ${path}.new`,
    `sync ${path}.new`,
    `mv ${path}.new ${path}`,
    `sync ${path.slice(0, path.lastIndexOf('/'))}`,
  ].join('\n');
}

/** `fine`: words of a refusal that is no failure. */
async function etcdctl(machine: ClusterMachine, args: readonly string[], fine?: string): Promise<void> {
  const words = args.map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const said = await run(
    machine,
    `set -a
. ${etcdPaths.control}
set +a
etcdctl ${words} 2>&1 || echo "failed $?"`,
  );
  if (!/^failed \d+$/m.test(said) || (fine !== undefined && said.includes(fine))) return;
  const [reason = ''] = said.split('\n').filter(line => line.includes('Error') || line.includes('rpc error'));
  throw new ClusterError('refused', `etcd on "${machine.name}" refused: ${reason.trim()}`, {
    remedy: 'see hawser cluster status',
  });
}

async function swarmInit(machine: ClusterMachine): Promise<void> {
  const answer = await machine.docker('POST', '/swarm/init', initRequest(machine.address));
  // 503 "already part of a swarm": done by an earlier run.
  if (answer.status === 200 || answer.body.includes('already part of a swarm')) return;
  throw refusal(machine, 'to found a Swarm', answer);
}

async function swarmJoin(machine: ClusterMachine, managers: readonly ClusterMachine[]): Promise<void> {
  const [manager] = managers;
  if (manager === undefined) throw new ClusterError('unreachable', 'no manager of the Swarm answers');
  const token = (await swarmDetails(manager)).JoinTokens.Manager;
  const addresses = managers.map(each => each.address);
  const answer = await machine.docker('POST', '/swarm/join', joinRequest(machine.address, addresses, token));
  if (answer.status === 200 || answer.body.includes('already part of a swarm')) return;
  // It goes on in the background: the next look at the machine tells.
  if (answer.body.includes('Timeout was reached before node joined')) return;
  throw refusal(machine, 'to join the Swarm', answer);
}

async function rotateTokens(machine: ClusterMachine): Promise<void> {
  for (let left = ROTATE_ATTEMPTS; ; left--) {
    const {Version, Spec} = await swarmDetails(machine);
    const answer = await machine.docker(
      'POST',
      `/swarm/update?version=${Version.Index}&rotateWorkerToken=true&rotateManagerToken=true`,
      Spec,
    );
    if (answer.status === 200) return;
    // 500, not 409, for a version that somebody else has just changed
    if (left === 0 || !answer.body.includes('out of sequence'))
      throw refusal(machine, 'to rotate the join tokens', answer);
  }
}

async function swarmDetails(machine: ClusterMachine) {
  const answer = await machine.docker('GET', '/swarm');
  if (answer.status !== 200) throw refusal(machine, 'to tell about its Swarm', answer);
  return parseJson(SwarmDetails, answer.body, `the Swarm of "${machine.name}"`);
}

function refusal(machine: ClusterMachine, what: string, {status, body}: DockerAnswer): ClusterError {
  return new ClusterError(
    'refused',
    `Docker on "${machine.name}" refused ${what}: ${status} ${body.trim().slice(0, 300)}`,
    {remedy: 'see hawser cluster status'},
  );
}
