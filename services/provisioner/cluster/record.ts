/** What the operator's side remembers of a cluster: who is meant to be in it, written before anything is done. Pure. */
import {Type, type Static} from 'typebox';
import {Uuid} from '../../common/contracts/release.ts';
import {ClusterError} from './errors.ts';

export const ClusterMember = Type.Object({
  /** The machine's name, which is the etcd member's too. */
  name: Type.String({pattern: '^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$', maxLength: 64}),
  uuid: Uuid,
  /** Where the other members reach it. */
  address: Type.String({minLength: 2, maxLength: 45}),
  /** A founder is named in every founder's `initial-cluster`; the others were added to the running cluster. */
  founder: Type.Boolean(),
});
export type ClusterMember = Static<typeof ClusterMember>;

export const ClusterRecord = Type.Object({
  schema: Type.Literal(1),
  name: Type.String(),
  /** etcd's `initial-cluster-token`: keeps members of two clusters apart, whatever addresses they have. */
  token: Type.String({pattern: '^[0-9a-f]{32}$'}),
  members: Type.Array(ClusterMember, {minItems: 1, maxItems: 9}),
  /** Swarm's join tokens were handed to a machine and are not rotated yet. */
  swarmTokensUsed: Type.Boolean(),
});
export type ClusterRecord = Static<typeof ClusterRecord>;

export type Candidate = Pick<ClusterMember, 'name' | 'uuid' | 'address'>;

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

export function checkClusterName(name: string): void {
  if (NAME.test(name)) return;
  throw new ClusterError('bad-name', `"${name}" cannot be a cluster's name`, {
    remedy: 'use lower-case letters, digits and inner hyphens, at most 32',
  });
}

/** A new cluster of `founders`. Throws `bad-members` for an even number or for the same machine twice. */
export function foundCluster(name: string, token: string, founders: readonly Candidate[]): ClusterRecord {
  checkClusterName(name);
  // etcd and Raft: an even number tolerates no more failures than one fewer.
  if (founders.length % 2 === 0 || founders.length > 7)
    throw new ClusterError('bad-members', `a cluster cannot be founded by ${founders.length} machines`, {
      remedy: 'name one, three, five or seven; three survive the loss of one',
    });
  const record: ClusterRecord = {
    schema: 1,
    name,
    token,
    members: [...founders]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({name, uuid, address}) => ({name, uuid, address, founder: true})),
    swarmTokensUsed: false,
  };
  checkDistinct(record.members);
  return record;
}

/** The record with `candidate` as a further member; the same record when it is one already. */
export function withMember(record: ClusterRecord, candidate: Candidate): ClusterRecord {
  if (record.members.some(member => member.uuid === candidate.uuid)) return record;
  const {name, uuid, address} = candidate;
  const members = [...record.members, {name, uuid, address, founder: false}];
  checkDistinct(members);
  return {...record, members};
}

/** Whether `founders` are the machines that the record was made for. */
export function sameFounders(record: ClusterRecord, founders: readonly Candidate[]): boolean {
  const known = record.members.filter(member => member.founder).map(member => member.uuid);
  return known.length === founders.length && founders.every(({uuid}) => known.includes(uuid));
}

function checkDistinct(members: readonly ClusterMember[]): void {
  for (const key of ['name', 'uuid', 'address'] as const) {
    const values = members.map(member => member[key]);
    const twice = values.find((value, index) => values.indexOf(value) !== index);
    if (twice !== undefined)
      throw new ClusterError('bad-members', `two members have the same ${key}, "${twice}"`, {
        remedy: 'name each machine once',
      });
  }
}
