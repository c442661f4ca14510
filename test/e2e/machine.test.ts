/**
 * The whole way, as an operator goes it: a machine from the built image under Secure Boot, a container by mutual
 * TLS, a restart after which everything is still there, and nothing left after its removal.
 */
import {mkdtemp, readFile, readdir, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {Budget} from '../../image-build/budget.ts';
import {machineServerName} from '../../services/common/contracts/enrolment.ts';
import {importImage, runContainer, type DockerEndpoint} from '../../infra/quickstart/docker.ts';
import {webCommand, webPort, webRootArchive} from '../../infra/quickstart/web-image.ts';
import {parseJson} from '../../services/common/parse.ts';
import {hawser, testHome} from '../support/cli.ts';

const CREATE_SECONDS = 1500;
const COMMAND_SECONDS = 180;
const name = 'e2e';

const unitsStarted =
  'systemctl list-units --state=active --plain --no-legend --type=service,socket,mount,automount,timer,path | wc -l';
const memoryInUse = `awk '/MemTotal/{t=$2}/MemAvailable/{a=$2}END{print (t-a)*1024}' /proc/meminfo`;

/** Modules that the image promises (containers, overlay networks, virtual and physical platforms). */
const promisedModules =
  'overlay br_netfilter nf_tables xt_conntrack xt_MASQUERADE xt_addrtype veth bridge openvswitch ip_vs ip_set ipip macvlan ' +
  'ipvlan vxlan wireguard dummy geneve vrf vboxguest vboxsf ena nvme vmxnet3 vmw_pvscsi hv_netvsc xen-netfront virtio_net ' +
  'e1000 e1000e igb ixgbe i40e ice tg3 bnx2x bnxt_en r8169 mlx4_en mlx5_core megaraid_sas mpt3sas hpsa smartpqi ahci ' +
  'usb-storage ipmi_si softdog i6300esb';

/** What must not be on a host that is updated as a whole. */
const forbiddenPrograms = ['apt', 'apt-get', 'dpkg', 'perl', 'python3', 'gcc', 'cc', 'make'];

test('a machine boots under Secure Boot, runs a container, keeps it over a restart, and is removed without a trace', async t => {
  t.timeout(45 * 60 * 1000);
  const shared = testHome();
  const home = await mkdtemp(join(tmpdir(), 'hawser-e2e-'));
  await symlink(join(shared, 'images'), join(home, 'images'));
  const run = async (args: readonly string[], seconds = COMMAND_SECONDS) =>
    (await hawser(args, {home, seconds})).stdout.trim();
  const ssh = async (command: string) => run(['machine', 'ssh', name, command]);
  t.teardown(async () => {
    await hawser(['machine', 'rm', '-f', '-y', name], {home, seconds: COMMAND_SECONDS, okCodes: [0, 1]});
    await rm(home, {recursive: true, force: true});
  });

  await run(['machine', 'create', '--qemu-secure-boot', '--qemu-restrict', name], CREATE_SECONDS);
  t.is(await run(['machine', 'status', name]), 'Running');

  t.regex(await ssh('sudo bootctl status --no-pager'), /Secure Boot: enabled \(user\)/);
  t.is(
    await ssh('systemctl is-system-running --wait'),
    'running',
    await ssh('systemctl --failed --no-legend'),
  );
  t.regex(await ssh('findmnt -no SOURCE,FSTYPE,OPTIONS /usr'), /^\/dev\/mapper\/usr erofs ro/);
  t.regex(await ssh('sudo dmsetup table usr'), /panic_on_corruption/);
  t.is(await ssh(`for program in ${forbiddenPrograms.join(' ')}; do command -v $program; done; true`), '');
  t.is(
    await ssh('sudo cut -d: -f1,2 /etc/shadow | grep -vE ":([!*].*)?$"; true'),
    '',
    'no account has a password',
  );
  t.is(
    await ssh(`for module in ${promisedModules}; do sudo modprobe -n -q $module || echo $module; done`),
    '',
  );
  t.is(
    await ssh('stat -c "%a %U %G" /usr/sbin/unix_chkpwd /usr/bin/chage /usr/bin/sudo'),
    '2755 root shadow\n2755 root shadow\n4755 root root',
  );
  t.is(
    await ssh(
      'docker compose version --short; docker buildx version | cut -d" " -f1; etcd --version | head -1 | cut -d: -f1 | tr -d " "',
    ),
    '2.26.1-4\ngithub.com/docker/buildx\netcdVersion',
  );
  t.regex(await ssh('/usr/lib/hawser/node --version'), /^v24\./);

  const budget = parseJson(
    Budget,
    await readFile(new URL('../../image-build/budget.json', import.meta.url), 'utf8'),
    'budget.json',
  );
  const costs = {units: Number(await ssh(unitsStarted)), memory: Number(await ssh(memoryInUse))};
  t.log(`${costs.units} units started, ${(costs.memory / 1e6).toFixed(0)} MB of memory in use`);
  t.true(costs.units > 0 && costs.units <= (budget.unitsStarted ?? 0), `${costs.units} units were started`);
  t.true(
    costs.memory > 0 && costs.memory <= (budget.idleMemoryBytes ?? 0),
    `${costs.memory} bytes of memory are in use`,
  );

  const inspected: unknown = JSON.parse(await run(['machine', 'inspect', name]));
  const endpoint = await dockerEndpoint(inspected);
  await importImage(endpoint, 'hawser-e2e', await webRootArchive());
  await runContainer(endpoint, 'web', 'hawser-e2e', webCommand, ['TEXT=still here'], webPort);
  const fetchPage = `curl --silent --fail --retry 10 --retry-connrefused --retry-delay 2 http://127.0.0.1:${webPort}/`;
  t.is(await ssh(fetchPage), 'still here');
  await ssh('echo kept > kept; sudo hostnamectl --static > /dev/null; sync');
  const machineId = await ssh('cat /etc/machine-id');

  await run(['machine', 'restart', name], CREATE_SECONDS);
  t.is(await ssh('cat kept'), 'kept');
  t.is(await ssh('cat /etc/machine-id'), machineId);
  t.is(await ssh(fetchPage), 'still here', 'the container came back by its restart policy');
  t.regex(
    await ssh('sudo ls /boot/EFI/Linux'),
    /^hawser_[\d.]+\.efi$/,
    'the boot was blessed: no tries are left in the name',
  );

  await run(['machine', 'rm', '-y', name]);
  const left = (await readdir(join(home, 'machines'), {recursive: true, withFileTypes: true})).filter(
    entry => !entry.isDirectory(),
  );
  t.deepEqual(
    left.map(entry => entry.name).sort(),
    ['.store.json', `${(inspected as {uuid: string}).uuid}.json`],
    'only the name of the fleet stays, and the note by which the reboot lock knows that the machine is gone',
  );
});

async function dockerEndpoint(inspected: unknown): Promise<DockerEndpoint> {
  const {uuid, folder, endpoint} = inspected as {
    uuid: string;
    folder: string;
    endpoint: {docker: {host: string; port: number}};
  };
  const read = (file: string) => readFile(join(folder, file));
  const [ca, cert, key] = [await read('ca.pem'), await read('cert.pem'), await read('key.pem')];
  return {...endpoint.docker, servername: machineServerName(uuid), ca, cert, key};
}
