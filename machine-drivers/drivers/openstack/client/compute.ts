/** Nova: servers and flavors. */
import {Type, type Static} from 'typebox';
import {listAll} from './pages.ts';
import type {Session} from './session.ts';

const Address = Type.Object({
  addr: Type.String(),
  version: Type.Integer(),
  'OS-EXT-IPS:type': Type.Optional(Type.String()),
  'OS-EXT-IPS-MAC:mac_addr': Type.Optional(Type.String()),
});

export const Server = Type.Object({
  id: Type.String(),
  name: Type.String(),
  status: Type.String(),
  created: Type.String(),
  'OS-EXT-STS:task_state': Type.Optional(Type.Union([Type.String(), Type.Null()])),
  /** In an ERROR, why. */
  fault: Type.Optional(Type.Object({message: Type.String()})),
  addresses: Type.Record(Type.String(), Type.Array(Address)),
  metadata: Type.Record(Type.String(), Type.String()),
  tags: Type.Optional(Type.Array(Type.String())),
});
export type Server = Static<typeof Server>;

/** Servers of this project with the tag, oldest first. One call, but for pages. */
export async function serversByTag(session: Session, tag: string): Promise<readonly Server[]> {
  const servers = await listAll(session, {
    service: 'compute',
    path: '/servers/detail',
    key: 'servers',
    item: Server,
    query: {tags: tag},
  });
  return [...servers].sort((a, b) => a.created.localeCompare(b.created) || a.id.localeCompare(b.id));
}

export async function getServer(session: Session, id: string): Promise<Server> {
  const Answer = Type.Object({server: Server});
  return (await session.ask('compute', {method: 'GET', path: `/servers/${id}`}, Answer)).server;
}

export interface ServerWish {
  readonly name: string;
  readonly flavor: string;
  /** Absent when it boots from a volume. */
  readonly image?: string;
  readonly portId: string;
  /** Base64; at most 65535 characters. */
  readonly userData: string;
  readonly configDrive: boolean;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly availabilityZone?: string;
  readonly serverGroup?: string;
  readonly volume?: {readonly image: string; readonly gibibytes: number; readonly type?: string};
}

/** Nova's first version with a type for the volumes that it makes. */
const VOLUME_TYPE_MICROVERSION = '2.67';

/** Returns the id. The answer's `adminPass` is of no use to a machine without passwords and is not read. */
export async function createServer(session: Session, wish: ServerWish): Promise<string> {
  const {volume} = wish;
  const server = {
    name: wish.name,
    flavorRef: wish.flavor,
    ...(volume === undefined ? {imageRef: wish.image} : {block_device_mapping_v2: [bootVolume(volume)]}),
    networks: [{port: wish.portId}],
    user_data: wish.userData,
    config_drive: wish.configDrive,
    metadata: wish.metadata,
    tags: wish.tags,
    ...(wish.availabilityZone === undefined ? {} : {availability_zone: wish.availabilityZone}),
  };
  const hints = wish.serverGroup === undefined ? {} : {'os:scheduler_hints': {group: wish.serverGroup}};
  const Answer = Type.Object({server: Type.Object({id: Type.String()})});
  const call = {method: 'POST', path: '/servers', json: {server, ...hints}} as const;
  const answer = await session.ask(
    'compute',
    volume?.type === undefined ? call : {...call, microversion: VOLUME_TYPE_MICROVERSION},
    Answer,
  );
  return answer.server.id;
}

/** Nova makes it of the image and removes it with the server. */
function bootVolume(volume: {image: string; gibibytes: number; type?: string}): object {
  return {
    boot_index: 0,
    uuid: volume.image,
    source_type: 'image',
    destination_type: 'volume',
    volume_size: volume.gibibytes,
    delete_on_termination: true,
    ...(volume.type === undefined ? {} : {volume_type: volume.type}),
  };
}

export type ServerAction = 'os-start' | 'os-stop' | 'unpause' | 'resume' | 'unshelve';

export async function actOnServer(session: Session, id: string, action: ServerAction): Promise<void> {
  const path = `/servers/${id}/action`;
  await session.tell('compute', {method: 'POST', path, json: {[action]: null}});
}

export async function deleteServer(session: Session, id: string): Promise<void> {
  await session.tell('compute', {method: 'DELETE', path: `/servers/${id}`});
}

/** The last lines of the serial console. */
export async function consoleOutput(session: Session, id: string, lines: number): Promise<string> {
  const path = `/servers/${id}/action`;
  const json = {'os-getConsoleOutput': {length: lines}};
  const Answer = Type.Object({output: Type.Union([Type.String(), Type.Null()])});
  return (await session.ask('compute', {method: 'POST', path, json}, Answer)).output ?? '';
}

export const Flavor = Type.Object({
  id: Type.String(),
  name: Type.String(),
  /** MiB. */
  ram: Type.Integer(),
  vcpus: Type.Integer(),
  /** GiB; 0: as large as the image. */
  disk: Type.Integer(),
});
export type Flavor = Static<typeof Flavor>;

export function listFlavors(session: Session): Promise<readonly Flavor[]> {
  return listAll(session, {service: 'compute', path: '/flavors/detail', key: 'flavors', item: Flavor});
}

const Limits = Type.Object({
  maxTotalInstances: Type.Integer(),
  totalInstancesUsed: Type.Integer(),
  maxTotalCores: Type.Integer(),
  totalCoresUsed: Type.Integer(),
  maxTotalRAMSize: Type.Integer(),
  totalRAMUsed: Type.Integer(),
});

/** What the project may have and has; -1 is no limit. */
export async function computeLimits(session: Session): Promise<Static<typeof Limits>> {
  const Answer = Type.Object({limits: Type.Object({absolute: Limits})});
  return (await session.ask('compute', {method: 'GET', path: '/limits'}, Answer)).limits.absolute;
}
