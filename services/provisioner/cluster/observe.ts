/** Asks a machine what it is: one script over SSH, one or two calls to its Docker. */
import {parseJson} from '../../common/parse.ts';
import {ClusterError} from './errors.ts';
import {etcdPaths, etcdUnit, parseMembers} from './etcd.ts';
import type {MachineFacts} from './plan.ts';
import type {ClusterMachine, MemberAuthority} from './ports.ts';
import {DockerInfo, SwarmNodes} from './swarm.ts';

const SCRIPT_TIMEOUT_MS = 180_000;

/** Prints one `key base64` line for each thing that is there. */
const observeScript = `
emit() { [ ! -e "$2" ] || printf '%s %s\\n' "$1" "$(base64 -w0 < "$2")"; }
emit config ${etcdPaths.config}
[ ! -e ${etcdPaths.key} ] || emit certificate ${etcdPaths.certificate}
emit daemon /etc/docker/daemon.json
[ ! -d ${etcdPaths.data}/member ] || echo 'data eQ=='
# "activating" lasts until a majority is there: started, and not to be asked yet
state=$(systemctl show --property=ActiveState --value ${etcdUnit})
case $state in active | activating) echo 'running eQ==' ;; esac
if [ "$state" = active ]; then
  set -a
  . ${etcdPaths.control}
  set +a
  if members=$(etcdctl member list -w simple 2>/dev/null); then
    printf 'members %s\\n' "$(printf '%s' "$members" | base64 -w0)"
    ! etcdctl endpoint health >/dev/null 2>&1 || echo 'healthy eQ=='
  fi
fi
`;

export async function observeMachine(
  machine: ClusterMachine,
  authority: MemberAuthority,
): Promise<MachineFacts> {
  const printed = parseLines(await machine.run(observeScript, {timeoutMs: SCRIPT_TIMEOUT_MS}));
  const certificate = printed.get('certificate');
  const members = printed.get('members');
  const info = parseJson(DockerInfo, await get(machine, '/info'), `Docker's answer from "${machine.name}"`);
  const {Swarm: swarm} = info;
  return {
    uuid: machine.uuid,
    certificate: certificate !== undefined && authority.isCurrent(certificate, machine.address),
    config: printed.get('config'),
    hasData: printed.has('data'),
    running: printed.has('running'),
    healthy: printed.has('healthy'),
    members: members === undefined ? undefined : parseMembers(members),
    daemonJson: printed.get('daemon'),
    liveRestore: info.LiveRestoreEnabled,
    swarm: {
      state: swarm.LocalNodeState,
      nodeId: swarm.NodeID,
      cluster: swarm.Cluster?.ID === '' ? undefined : swarm.Cluster?.ID,
      manager: swarm.ControlAvailable,
      reachable: swarm.ControlAvailable ? await reachableManagers(machine) : [],
    },
  };
}

/** Node ids; none when the managers have no quorum, which Docker answers with 500 or 503. */
async function reachableManagers(machine: ClusterMachine): Promise<string[]> {
  const {status, body} = await machine.docker('GET', '/nodes');
  if (status !== 200) return [];
  return parseJson(SwarmNodes, body, `the nodes that "${machine.name}" lists`)
    .filter(node => node.ManagerStatus?.Reachability === 'reachable')
    .map(node => node.ID);
}

async function get(machine: ClusterMachine, path: string): Promise<string> {
  const {status, body} = await machine.docker('GET', path);
  if (status === 200) return body;
  throw new ClusterError('unreachable', `Docker on "${machine.name}" answered ${status} to GET ${path}`, {
    remedy: `see hawser machine ssh ${machine.name} journalctl -u docker`,
  });
}

function parseLines(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [key, value] = line.split(' ');
    if (key !== undefined && value !== undefined)
      found.set(key, Buffer.from(value, 'base64').toString('utf8'));
  }
  return found;
}
