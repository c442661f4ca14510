/**
 * The kernel that the image was built with, against what Docker's own check-config.sh and kubeadm's preflight ask
 * for: a feature that is a module must be among the modules that the image carries.
 */
import {readFile, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {exec} from '../../services/common/exec.ts';
import {resolvePaths} from '../../services/common/paths.ts';

/** Kernel option -> its module; an option that is not here and built as a module fails the test. */
const moduleOf: Readonly<Record<string, string>> = {
  BRIDGE: 'bridge',
  BRIDGE_NETFILTER: 'br_netfilter',
  BTRFS_FS: 'btrfs',
  // the code itself is built in, by CRYPTO_AEAD2
  CRYPTO_AEAD: 'gcm',
  CRYPTO_GCM: 'gcm',
  CRYPTO_GHASH: 'ghash-generic',
  CRYPTO_SEQIV: 'seqiv',
  DUMMY: 'dummy',
  EXT4_FS: 'ext4',
  INET_ESP: 'esp4',
  IPVLAN: 'ipvlan',
  IP_NF_FILTER: 'iptable_filter',
  IP_NF_MANGLE: 'iptable_mangle',
  IP_NF_NAT: 'iptable_nat',
  IP_NF_TARGET_MASQUERADE: 'xt_MASQUERADE',
  IP_NF_TARGET_REDIRECT: 'xt_REDIRECT',
  IP_VS: 'ip_vs',
  IP_VS_RR: 'ip_vs_rr',
  MACVLAN: 'macvlan',
  NETFILTER_XT_MARK: 'xt_mark',
  NETFILTER_XT_MATCH_ADDRTYPE: 'xt_addrtype',
  NETFILTER_XT_MATCH_BPF: 'xt_bpf',
  NETFILTER_XT_MATCH_CONNTRACK: 'xt_conntrack',
  NETFILTER_XT_MATCH_IPVS: 'xt_ipvs',
  NETFILTER_XT_MATCH_COMMENT: 'xt_comment',
  NETFILTER_XT_TARGET_REDIRECT: 'xt_REDIRECT',
  BLK_DEV_DM: 'dm-mod',
  NET_CLS_CGROUP: 'cls_cgroup',
  NF_CONNTRACK_FTP: 'nf_conntrack_ftp',
  NF_CONNTRACK_TFTP: 'nf_conntrack_tftp',
  NF_NAT: 'nf_nat',
  NF_NAT_FTP: 'nf_nat_ftp',
  NF_NAT_TFTP: 'nf_nat_tftp',
  OVERLAY_FS: 'overlay',
  VETH: 'veth',
  VXLAN: 'vxlan',
  XFRM_ALGO: 'xfrm_algo',
  XFRM_USER: 'xfrm_user',
};

/** system-validators of kubeadm, required kernel options. */
const kubeadmOptions = [
  'NAMESPACES',
  'NET_NS',
  'PID_NS',
  'IPC_NS',
  'UTS_NS',
  'CGROUPS',
  'CGROUP_BPF',
  'CGROUP_CPUACCT',
  'CGROUP_DEVICE',
  'CGROUP_FREEZER',
  'CGROUP_PIDS',
  'CGROUP_SCHED',
  'CPUSETS',
  'MEMCG',
  'INET',
  'EXT4_FS',
  'PROC_FS',
  'FAIR_GROUP_SCHED',
  'NETFILTER_XT_TARGET_REDIRECT',
  'NETFILTER_XT_MATCH_COMMENT',
  'OVERLAY_FS',
  'BLK_DEV_DM',
  'CFS_BANDWIDTH',
  'SECCOMP',
];

const {cache} = resolvePaths(process.env);

test("Docker's check-config finds everything that is generally necessary, and each module of it is in the image", async t => {
  const kernel = await newest(join(cache, 'steps'), 'kernel-');
  const script = join(
    await newest(join(cache, 'roots'), 'image-'),
    'usr/share/docker.io/contrib/check-config.sh',
  );
  const checked = await exec(['sh', script, join(kernel, 'config')], {timeoutMs: 60_000, okCodes: [0, 1]});
  // oxlint-disable-next-line no-control-regex -- the script colours its words
  const text = checked.stdout.replaceAll(/\u001B\[[0-9;]*m/g, '');
  const necessary = text.slice(text.indexOf('Generally Necessary'), text.indexOf('Optional Features'));
  const missing = necessary
    .split('\n')
    .filter(line => line.startsWith('- CONFIG_') && line.endsWith('missing'));
  t.deepEqual(missing, []);
  const asModule = [...text.matchAll(/CONFIG_(\w+): enabled \(as module\)/g)].map(match => match[1] ?? '');
  t.true(asModule.length > 20);
  t.deepEqual(await absent(kernel, asModule), []);
});

test('what kubeadm requires of a kernel is there', async t => {
  const kernel = await newest(join(cache, 'steps'), 'kernel-');
  const config = await readFile(join(kernel, 'config'), 'utf8');
  const value = (option: string) => new RegExp(`^CONFIG_${option}=(.)`, 'm').exec(config)?.[1];
  t.deepEqual(
    kubeadmOptions.filter(option => !['y', 'm'].includes(value(option) ?? '')),
    [],
  );
  t.deepEqual(
    await absent(
      kernel,
      kubeadmOptions.filter(option => value(option) === 'm'),
    ),
    [],
  );
});

/** Of `options`, those whose module the image does not carry. */
async function absent(kernel: string, options: readonly string[]): Promise<string[]> {
  const entries = await readdir(join(kernel, 'lib/modules'), {recursive: true});
  const present = new Set(
    entries.flatMap(entry => /([^/]+)\.ko$/.exec(entry)?.[1]?.replaceAll('-', '_') ?? []),
  );
  return options.filter(
    option => !present.has((moduleOf[option] ?? `no module known for ${option}`).replaceAll('-', '_')),
  );
}

async function newest(folder: string, prefix: string): Promise<string> {
  const found = (await readdir(folder))
    .filter(name => name.startsWith(prefix))
    .map(name => join(folder, name));
  const dated = await Promise.all(found.map(async path => ({path, at: (await stat(path)).mtimeMs})));
  const [latest] = dated.sort((a, b) => b.at - a.at);
  if (latest === undefined) throw new Error(`there is no ${prefix}* in ${folder}: build the image first`);
  return latest.path;
}
