/**
 * Machines for tests: each one a set of namespaces (mount, network, host name, processes) with a real dockerd, all
 * on one bridge in a namespace of its own. Everything dies with this process: the first process of each machine ends
 * when its input does, and takes the rest of its process namespace along.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, readdir, rm, rmdir, stat} from 'node:fs/promises';
import {request} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {exec} from '../../../services/common/exec.ts';
import type {ClusterMachine, DockerAnswer} from '../../../services/provisioner/cluster/ports.ts';

export interface LabMachine extends ClusterMachine {
  /** Prefix of a command line that runs inside the machine. */
  readonly enter: readonly string[];
  readonly dockerSocket: string;
  /** Raw body, for images. */
  importImage(name: string, archive: Buffer): Promise<void>;
  dockerDelete(path: string): Promise<DockerAnswer>;
}

export interface Lab {
  readonly machines: readonly LabMachine[];
  /** Prefix of a command line that runs on the bridge, as a client of the machines. */
  readonly enterHub: readonly string[];
  close(): Promise<void>;
}

const READY_SECONDS = 60;

/** Why the lab cannot run here, or undefined. */
export async function labProblem(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['dockerd', 'etcd', 'etcdctl', 'nsenter', 'ip', 'openssl']) {
    const found = await exec(['which', program], {timeoutMs: 10_000}).catch(() => undefined);
    if (found === undefined) return `needs ${program} (infra/setup.sh --test)`;
  }
  return undefined;
}

/** `daemon`: settings of dockerd besides those of all labs; `none` for machines without one. */
export async function startLab(names: readonly string[], daemon: object | 'none' = {}): Promise<Lab> {
  const folder = await mkdtemp(join(tmpdir(), 'hawser-lab-'));
  const children: ChildProcess[] = [];
  const cgroups = folder.slice(folder.lastIndexOf('/') + 1);
  const close = async () => {
    for (const child of children) child.stdin?.end();
    for (const child of children) if (child.exitCode === null) await once(child, 'exit');
    await removeCgroups(cgroups);
    await rm(folder, {recursive: true, force: true, maxRetries: 5});
  };
  try {
    const hub = await holder(children, ['unshare', '--net', 'sh', '-c', hubScript]);
    const machines: LabMachine[] = [];
    for (const [index, name] of names.entries())
      machines.push(await startMachine(children, {folder, cgroups, hub, name, index, daemon}));
    if (daemon !== 'none') await Promise.all(machines.map(waitForDocker));
    return {machines, enterHub: ['nsenter', `--net=/proc/${hub}/ns/net`, '--'], close};
  } catch (error) {
    await close();
    throw error;
  }
}

const hubScript = `set -e
ip link set lo up
ip link add br0 type bridge
ip addr add 10.86.0.1/16 dev br0
ip link set br0 up
echo ready
exec cat`;

/** $1: the machine's folder, $2: its name, $3: dockerd's settings. bash, because the first process must collect orphans. */
const machineScript = `set -e
mount --make-rprivate /
hostname "$2"
ip link set lo up
for place in etc var/lib; do
  mkdir -p "$1/$place/upper" "$1/$place/work"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" "/$place"
done
mkdir -p "$1/docker" /var/lib/docker /etc/docker /etc/hawser
mount --bind "$1/docker" /var/lib/docker
mount -t tmpfs tmpfs /run
printf '%s' "$3" > /etc/docker/daemon.json
echo ready
while read -r _; do :; done`;

interface Place {
  readonly folder: string;
  readonly cgroups: string;
  readonly hub: number;
  readonly name: string;
  readonly index: number;
  readonly daemon: object | 'none';
}

async function startMachine(children: ChildProcess[], place: Place): Promise<LabMachine> {
  const {hub, name, index} = place;
  const own = join(place.folder, name);
  await mkdir(own);
  const outer = await holder(children, [
    'unshare',
    '--mount',
    '--net',
    '--uts',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    'bash',
    '-c',
    machineScript,
    'machine',
    own,
    name,
    JSON.stringify({
      'live-restore': true,
      'log-driver': 'local',
      ...(place.daemon === 'none' ? {} : place.daemon),
    }),
  ]);
  const [inner = ''] = (await readFile(`/proc/${outer}/task/${outer}/children`, 'utf8')).split(' ');
  const enter = ['nsenter', '--target', inner, '--mount', '--net', '--uts', '--pid', '--'];
  const address = `10.86.1.${index + 1}`;
  const ip = (namespace: readonly string[], line: string) =>
    exec([...namespace, 'ip', ...line.split(' ')], {timeoutMs: 10_000});
  const onHub = ['nsenter', `--net=/proc/${hub}/ns/net`, '--'];
  await ip(onHub, `link add v${index} type veth peer name eth0 netns ${inner}`);
  await ip(onHub, `link set v${index} master br0 up`);
  await ip(enter, `addr add ${address}/16 dev eth0`);
  await ip(enter, 'link set eth0 up');
  await ip(enter, 'route add default via 10.86.0.1');

  const dockerSocket = join(own, 'docker.sock');
  const daemon = [
    'dockerd',
    '--exec-root=/run/docker',
    '--pidfile=/run/docker.pid',
    '--bip=172.17.0.1/16',
    `--host=unix://${dockerSocket}`,
    `--cgroup-parent=/${place.cgroups}`,
  ].join(' ');
  const run: ClusterMachine['run'] = async (script, {timeoutMs}) =>
    (
      await exec([...enter, 'env', `PATH=${join(import.meta.dirname)}:${process.env['PATH']}`, 'sh', '-s'], {
        timeoutMs,
        input: script,
      })
    ).stdout;
  if (place.daemon !== 'none')
    await run(`setsid ${daemon} > ${own}/dockerd.log 2>&1 < /dev/null &\n`, {timeoutMs: 10_000});
  const call = (method: string, path: string, type?: string, body?: Buffer) =>
    callSocket(dockerSocket, method, path, type, body);
  return {
    name,
    uuid: `00000000-0000-4000-8000-00000000000${index + 1}`,
    address,
    enter,
    dockerSocket,
    run,
    docker: (method, path, body) =>
      call(
        method,
        path,
        'application/json',
        body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      ),
    dockerDelete: path => call('DELETE', path),
    importImage: async (image, archive) => {
      const {status, body} = await call(
        'POST',
        `/images/create?fromSrc=-&repo=${encodeURIComponent(image)}`,
        'application/x-tar',
        archive,
      );
      if (status !== 200) throw new Error(`import: ${status} ${body}`);
    },
  };
}

async function holder(children: ChildProcess[], argv: readonly string[]): Promise<number> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'inherit']});
  children.push(child);
  const [text] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${program} ended`))),
  ])) as [Buffer];
  if (child.pid === undefined || !text.toString().includes('ready')) throw new Error(String(text));
  return child.pid;
}

async function waitForDocker(machine: LabMachine): Promise<void> {
  for (let left = READY_SECONDS * 4; left > 0; left--) {
    const there = await stat(machine.dockerSocket).catch(() => undefined);
    if (there !== undefined && (await machine.docker('GET', '/_ping').catch(() => undefined))?.status === 200)
      return;
    await delay(250);
  }
  throw new Error(`dockerd of ${machine.name} does not answer`);
}

function callSocket(
  socketPath: string,
  method: string,
  path: string,
  type?: string,
  body?: Buffer,
): Promise<DockerAnswer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(type === undefined ? {} : {'content-type': type}),
      'content-length': body?.length ?? 0,
    };
    const outgoing = request(
      {socketPath, method, path: `/v1.41${path}`, headers, agent: false, signal: AbortSignal.timeout(60_000)},
      response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => resolve({status: response.statusCode ?? 0, body: text}));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** dockerd leaves its parent group behind, empty. */
async function removeCgroups(name: string): Promise<void> {
  const root = '/sys/fs/cgroup';
  const hierarchies = [root, ...(await readdir(root)).map(each => join(root, each))];
  for (const hierarchy of hierarchies) await removeTree(join(hierarchy, name));
}

async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, {withFileTypes: true}).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  for (let left = 20; left > 0; left--) {
    try {
      await rmdir(folder);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EBUSY')) return;
      await delay(100);
    }
  }
}

/** For a look at what went wrong: the end of a file inside the machine. */
export async function tail(machine: LabMachine, path: string): Promise<string> {
  return machine.run(`tail -n 40 ${path}\n`, {timeoutMs: 10_000}).catch(() => '');
}
