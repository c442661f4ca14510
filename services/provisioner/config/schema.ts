/**
 * Ignition's configuration specification 3.3.0 as data. One table gives the TypeScript types, the field names and
 * types that the reader accepts, the rules for single values (`rule`, see rules.ts), and how lists are keyed, which
 * both the duplicate check and the merge follow (`key`, `group`, `concat`).
 *
 * Names are Ignition's; Butane's are the same in snake_case. `since` is the minor version that brought a field.
 */
import {Type, type Static, type TSchema} from 'typebox';

const text = Type.String();
const flag = Type.Boolean();
const count = Type.Integer({minimum: 0});
const path = Type.String({rule: 'path'});
const optional = Type.Optional;

/** A list whose items are told apart by a field; strings are their own key. */
function keyed<Item extends TSchema>(item: Item, key?: string, group?: string) {
  return optional(Type.Array(item, {...(key && {key}), ...(group && {group})}));
}

/** A list that merges by appending and may repeat itself (Ignition: IgnoreDuplicates). */
function concat<Item extends TSchema>(item: Item) {
  return optional(Type.Array(item, {concat: true}));
}

const HttpHeader = Type.Object({
  name: Type.String({rule: 'headerName'}),
  value: optional(Type.String({rule: 'headerValue'})),
});

export const resourceFields = {
  compression: optional(Type.String({choices: ['', 'gzip']})),
  httpHeaders: optional(Type.Array(HttpHeader, {key: 'name', since: 1, deletes: 'value'})),
  source: optional(Type.String({rule: 'url'})),
  verification: optional(Type.Object({hash: optional(Type.String({rule: 'hash'}))})),
};
export const Resource = Type.Object(resourceFields);

const Owner = Type.Object({id: optional(count), name: optional(text)});
const nodeFields = {
  path: Type.String({rule: 'path'}),
  overwrite: optional(flag),
  user: optional(Owner),
  group: optional(Owner),
};
const mode = (folder: boolean) => optional(Type.Integer({rule: folder ? 'folderMode' : 'fileMode'}));

export const Directory = Type.Object({...nodeFields, mode: mode(true)});
export const Link = Type.Object({...nodeFields, target: optional(text), hard: optional(flag)});
export const Partition = Type.Object({
  label: optional(Type.String({rule: 'partitionLabel'})),
  number: optional(Type.Integer({minimum: 0, maximum: 128})),
  sizeMiB: optional(count),
  startMiB: optional(count),
  typeGuid: optional(Type.String({rule: 'guid'})),
  guid: optional(Type.String({rule: 'guid'})),
  wipePartitionEntry: optional(flag),
  shouldExist: optional(flag),
  resize: optional(Type.Boolean({since: 2})),
});
export const Disk = Type.Object({
  device: path,
  wipeTable: optional(flag),
  partitions: keyed(Partition, 'partition'),
});
export const Raid = Type.Object({
  name: Type.String({rule: 'deviceName'}),
  level: optional(text),
  devices: keyed(path),
  spares: optional(count),
  options: concat(text),
});
export const filesystemFields = {
  device: path,
  format: optional(Type.String({choices: ['ext4', 'btrfs', 'xfs', 'vfat', 'swap', 'none']})),
  path: optional(Type.String({rule: 'path'})),
  wipeFilesystem: optional(flag),
  label: optional(text),
  uuid: optional(text),
  options: concat(text),
  mountOptions: optional(Type.Array(text, {concat: true, since: 1})),
};
export const Filesystem = Type.Object(filesystemFields);
const Clevis = Type.Object({
  custom: optional(
    Type.Object({
      pin: optional(Type.String({choices: ['tpm2', 'tang', 'sss']})),
      config: optional(text),
      needsNetwork: optional(flag),
    }),
  ),
  tang: keyed(Type.Object({url: Type.String({rule: 'tangUrl'}), thumbprint: optional(text)}), 'url'),
  threshold: optional(count),
  tpm2: optional(flag),
});
export type Clevis = Static<typeof Clevis>;
export const tangList = Clevis.properties.tang;

/** The parts that hold resources: Ignition's have a URL, Butane's may have `inline` or `local` instead. */
export function fileSchema<Contents extends TSchema>(contents: Contents) {
  return Type.Object({
    ...nodeFields,
    contents: optional(contents),
    append: concat(contents),
    mode: mode(false),
  });
}
export function luksSchema<Contents extends TSchema>(contents: Contents) {
  return Type.Object({
    name: Type.String({rule: 'deviceName'}),
    device: optional(path),
    keyFile: optional(contents),
    label: optional(text),
    uuid: optional(text),
    options: concat(text),
    wipeVolume: optional(flag),
    clevis: optional(Clevis),
  });
}
export function ignitionSectionFields<Contents extends TSchema>(contents: Contents) {
  return {
    config: optional(Type.Object({merge: keyed(contents, 'source'), replace: optional(contents)})),
    timeouts: optional(Type.Object({httpResponseHeaders: optional(count), httpTotal: optional(count)})),
    security: optional(
      Type.Object({tls: optional(Type.Object({certificateAuthorities: keyed(contents, 'source')}))}),
    ),
    proxy: optional(
      Type.Object(
        {
          httpProxy: optional(Type.String({rule: 'proxyUrl'})),
          httpsProxy: optional(Type.String({rule: 'httpsProxyUrl'})),
          noProxy: keyed(text),
        },
        {since: 1},
      ),
    ),
  };
}

/** Directories, files and links share one name space. */
export const nodeLists = {
  directories: keyed(Directory, 'path', 'node'),
  links: keyed(Link, 'path', 'node'),
};
function filesList<Item extends TSchema>(item: Item) {
  return keyed(item, 'path', 'node');
}
function luksList<Item extends TSchema>(item: Item) {
  return optional(Type.Array(item, {key: 'name', since: 2}));
}
const deviceLists = {
  disks: keyed(Disk, 'device'),
  raid: keyed(Raid, 'name'),
};
function filesystemsList<Item extends TSchema>(item: Item) {
  return keyed(item, 'device');
}

/** The storage section, by the kinds of file, LUKS volume and file system that a dialect has. */
export function storageFields<File extends TSchema, Luks extends TSchema, Filesystem extends TSchema>(
  file: File,
  luks: Luks,
  filesystem: Filesystem,
) {
  return {
    ...deviceLists,
    luks: luksList(luks),
    filesystems: filesystemsList(filesystem),
    ...nodeLists,
    files: filesList(file),
  };
}

const Dropin = Type.Object({
  name: Type.String({rule: 'dropinName'}),
  contents: optional(Type.String({rule: 'unitText'})),
});
export const Unit = Type.Object({
  name: Type.String({rule: 'unitName'}),
  enabled: optional(flag),
  mask: optional(flag),
  contents: optional(Type.String({rule: 'unitText'})),
  dropins: keyed(Dropin, 'name'),
});
export const User = Type.Object({
  name: Type.String({rule: 'userName'}),
  passwordHash: optional(text),
  sshAuthorizedKeys: keyed(Type.String({rule: 'sshKey'})),
  uid: optional(count),
  gecos: optional(text),
  homeDir: optional(text),
  noCreateHome: optional(flag),
  primaryGroup: optional(text),
  groups: keyed(text),
  noUserGroup: optional(flag),
  noLogInit: optional(flag),
  shell: optional(text),
  shouldExist: optional(Type.Boolean({since: 2})),
  system: optional(flag),
});
export const Group = Type.Object({
  name: Type.String({rule: 'userName'}),
  gid: optional(count),
  passwordHash: optional(text),
  shouldExist: optional(Type.Boolean({since: 2})),
  system: optional(flag),
});

/** The sections that Butane and Ignition write alike. */
export const commonSections = {
  passwd: optional(Type.Object({users: keyed(User, 'name'), groups: keyed(Group, 'name')})),
  systemd: optional(Type.Object({units: keyed(Unit, 'name')})),
  kernelArguments: optional(
    Type.Object(
      {
        shouldExist: keyed(text, undefined, 'kernelArgument'),
        shouldNotExist: keyed(text, undefined, 'kernelArgument'),
      },
      {since: 3},
    ),
  ),
};
