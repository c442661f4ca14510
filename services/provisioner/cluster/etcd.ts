/** etcd's configuration and the words of `etcdctl`, as text. Pure. */
import {Type} from 'typebox';
import {parseJson} from '../../common/parse.ts';
import type {ClusterMember, ClusterRecord} from './record.ts';

/** Where everything lies on a member. `config` exists exactly on members: the update agent's checks look for it. */
export const etcdPaths = {
  config: '/etc/hawser/etcd.yaml',
  /** Environment for etcdctl (root only): `set -a; . FILE`. */
  control: '/etc/hawser/etcdctl.env',
  folder: '/etc/hawser/etcd',
  key: '/etc/hawser/etcd/key.pem',
  certificate: '/etc/hawser/etcd/member.pem',
  ca: '/etc/hawser/etcd/ca.pem',
  data: '/var/lib/hawser/etcd',
  /** systemd's LoadCredential= puts copies here that etcd's own user may read. */
  credentials: '/run/credentials/hawser-etcd.service',
} as const;

export const etcdUnit = 'hawser-etcd.service';

export interface EtcdMember {
  /** Hexadecimal, as etcdctl prints and takes it: it does not fit a JavaScript number. */
  readonly id: string;
  /** It has told its client address. etcd's own "started" is already said of a founder that has never run. */
  readonly started: boolean;
  /** Empty until it has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly learner: boolean;
}

export function peerUrl(member: Pick<ClusterMember, 'address'>): string {
  return `https://${hostOf(member.address)}:2380`;
}

export function clientUrl(member: Pick<ClusterMember, 'address'>): string {
  return `https://${hostOf(member.address)}:2379`;
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** `name=url,...` for all founders: the same text on each of them. */
export function foundersCluster(record: ClusterRecord): string {
  return record.members
    .filter(member => member.founder)
    .map(member => `${member.name}=${peerUrl(member)}`)
    .join(',');
}

/** What a joining member is told: those that etcd lists, and itself under its name. */
export function joinersCluster(listed: readonly EtcdMember[], joiner: ClusterMember): string {
  return listed
    .map(member => {
      const url = member.peerUrls[0] ?? '';
      return `${url === peerUrl(joiner) ? joiner.name : member.name}=${url}`;
    })
    .join(',');
}

/** `/etc/hawser/etcd.yaml`. JSON is YAML, and needs no rules about quoting. */
export function renderEtcdConfig(
  record: ClusterRecord,
  member: ClusterMember,
  initial: {readonly cluster: string; readonly state: 'new' | 'existing'},
): string {
  const {credentials} = etcdPaths;
  const transport = {
    'cert-file': `${credentials}/member.pem`,
    'key-file': `${credentials}/key.pem`,
    'client-cert-auth': true,
    'trusted-ca-file': `${credentials}/ca.pem`,
  };
  const config = {
    name: member.name,
    'data-dir': etcdPaths.data,
    'listen-peer-urls': peerUrl(member),
    'initial-advertise-peer-urls': peerUrl(member),
    'listen-client-urls': `${clientUrl(member)},https://127.0.0.1:2379`,
    'advertise-client-urls': clientUrl(member),
    // /health and /metrics for this machine alone
    'listen-metrics-urls': 'http://127.0.0.1:2381',
    'initial-cluster': initial.cluster,
    'initial-cluster-state': initial.state,
    'initial-cluster-token': record.token,
    'strict-reconfig-check': true,
    // etcd, tuning: an election takes ten heartbeats; small machines whose disks stall must not cause elections
    'heartbeat-interval': 500,
    'election-timeout': 5000,
    'auto-compaction-mode': 'periodic',
    'auto-compaction-retention': '24h',
    'client-transport-security': transport,
    'peer-transport-security': transport,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** `/etc/hawser/etcdctl.env`. */
export function renderControlEnvironment(member: ClusterMember): string {
  return [
    'ETCDCTL_API=3',
    `ETCDCTL_ENDPOINTS=${clientUrl(member)}`,
    `ETCDCTL_CACERT=${etcdPaths.ca}`,
    `ETCDCTL_CERT=${etcdPaths.certificate}`,
    `ETCDCTL_KEY=${etcdPaths.key}`,
    'ETCDCTL_DIAL_TIMEOUT=10s',
    'ETCDCTL_COMMAND_TIMEOUT=20s',
    '',
  ].join('\n');
}

const Installed = Type.Object({'initial-cluster-token': Type.String()});

/** The token in an installed configuration; undefined when the file is none of ours. */
export function installedToken(config: string): string | undefined {
  try {
    return parseJson(Installed, config, etcdPaths.config)['initial-cluster-token'];
  } catch {
    return undefined;
  }
}

/** `etcdctl member list -w simple`: `id, status, name, peer URLs, client URLs, is learner`. */
export function parseMembers(text: string): EtcdMember[] {
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [id = '', , name = '', peers = '', clients = '', learner = ''] = line.split(', ');
      return {
        id,
        started: clients !== '',
        name,
        peerUrls: peers.split(',').filter(url => url !== ''),
        learner: learner.trim() === 'true',
      };
    });
}
