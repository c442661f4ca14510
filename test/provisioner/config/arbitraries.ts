/** Random valid configs in Butane's form, without local files. */
import * as fc from 'fast-check';

type Value = Record<string, unknown>;

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/u);
const segment = fc.oneof(word, fc.constantFrom('my data', 'größe', 'a.conf', '100%', "it's", 'x-y_z'));
const path = fc
  .tuple(fc.constantFrom('etc', 'opt', 'srv', 'home'), fc.array(segment, {minLength: 1, maxLength: 3}))
  .map(([top, rest]) => `/${[top, ...rest].join('/')}`);
const text = fc
  .oneof(
    fc.string({maxLength: 80}),
    fc.string({unit: 'binary', maxLength: 40}),
    word.map(one => `${one}\n`.repeat(60)),
  )
  .map(one => one.toWellFormed());
const hash = fc.oneof(
  fc.stringMatching(/^[0-9a-f]{64}$/u).map(hex => `sha256-${hex}`),
  fc.stringMatching(/^[0-9a-f]{128}$/u).map(hex => `sha512-${hex}`),
);
const guid = fc.uuid();
const device = word.map(name => `/dev/disk/by-id/${name}`);
const url = fc.oneof(
  fc.webUrl({validSchemes: ['http', 'https'], withQueryParameters: true}),
  fc
    .tuple(fc.constantFrom('s3', 'gs', 'tftp'), word, word)
    .map(([scheme, host, name]) => `${scheme}://${host}/${name}`),
  fc.uint8Array({maxLength: 30}).map(bytes => `data:;base64,${Buffer.from(bytes).toString('base64')}`),
  fc
    .uint8Array({maxLength: 30})
    .map(
      bytes =>
        `data:text/plain;charset=utf-8,${[...bytes].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')}`,
    ),
);
const headers = fc.uniqueArray(fc.record({name: fc.stringMatching(/^X-[A-Z][a-z]{0,5}$/u), value: word}), {
  selector: one => one.name,
  minLength: 1,
  maxLength: 2,
});

function some<Item>(
  item: fc.Arbitrary<Item>,
  key: (item: Item) => unknown,
  maxLength = 3,
): fc.Arbitrary<Item[]> {
  return fc.uniqueArray(item, {selector: key, maxLength});
}
function record(
  model: Record<string, fc.Arbitrary<unknown>>,
  requiredKeys: string[] = [],
): fc.Arbitrary<Value> {
  return fc.record(model, {requiredKeys}) as fc.Arbitrary<Value>;
}

const inline = record({inline: text}, ['inline']);
const remote = record({source: url, verification: record({hash}, ['hash'])}, ['source']);
const withHeaders = fc.record({source: fc.webUrl({validSchemes: ['https']}), http_headers: headers});
const resource: fc.Arbitrary<Value> = fc.oneof(inline, remote, withHeaders);
const owner = fc.oneof(record({id: fc.nat(65_534)}, ['id']), record({name: word}, ['name']));
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o700, 0o400, 0);

const file = record(
  {
    path,
    contents: resource,
    append: fc.array(resource, {maxLength: 2}),
    overwrite: fc.boolean(),
    mode,
    user: owner,
    group: owner,
  },
  ['path', 'contents'],
);
const directory = record({path, mode: fc.constantFrom(0o755, 0o700), overwrite: fc.boolean(), user: owner}, [
  'path',
]);
const link = record({path, target: path, hard: fc.constant(false), overwrite: fc.boolean()}, [
  'path',
  'target',
]);
const partition = fc
  .tuple(
    word,
    record({
      size_mib: fc.nat(4096),
      guid,
      type_guid: fc.constant('0fc63daf-8483-4772-8e79-3d69d8477de4'),
      resize: fc.boolean(),
      wipe_partition_entry: fc.boolean(),
    }),
  )
  .map(([label, rest]): Value => ({label: `data-${label}`, ...rest}));
const disk = record({device, wipe_table: fc.boolean(), partitions: some(partition, one => one['label'])}, [
  'device',
]);
const raid = record(
  {
    name: word,
    level: fc.constantFrom('raid1', 'raid5', 'raid10', 'mirror'),
    devices: fc.uniqueArray(device, {minLength: 1, maxLength: 3}),
    spares: fc.nat(2),
    options: fc.array(word, {maxLength: 2}),
  },
  ['name', 'level', 'devices'],
);
const filesystem = fc.oneof(
  record(
    {
      device,
      format: fc.constantFrom('ext4', 'xfs', 'vfat'),
      path: path.map(one => `/var${one}`),
      label: word,
      uuid: guid,
      options: fc.array(word, {maxLength: 2}),
      mount_options: fc.array(word, {maxLength: 2}),
      wipe_filesystem: fc.boolean(),
      with_mount_unit: fc.boolean(),
    },
    ['device', 'format', 'path'],
  ),
  record({device, format: fc.constant('swap'), with_mount_unit: fc.boolean()}, ['device', 'format']),
);
const luks = record(
  {
    name: word,
    device,
    key_file: resource,
    label: word,
    uuid: guid,
    options: fc.array(word, {maxLength: 2}),
    wipe_volume: fc.boolean(),
  },
  ['name', 'device'],
);

const unitText = fc
  .tuple(
    fc.array(
      fc.tuple(word, word).map(([key, value]) => `${key}=${value} \\\n  more`),
      {maxLength: 3},
    ),
    fc.boolean(),
  )
  .map(
    ([lines, install]) =>
      `# unit\n[Service]\n${lines.join('\n')}\n${install ? '[Install]\nWantedBy=multi-user.target\n' : ''}`,
  );
const dropin = record({name: word.map(one => `10-${one}.conf`), contents: unitText}, ['name', 'contents']);
const unit = record(
  {
    name: fc
      .tuple(word, fc.constantFrom('service', 'timer', 'socket', 'path'))
      .map(([name, type]) => `${name}.${type}`),
    enabled: fc.boolean(),
    mask: fc.boolean(),
    contents: unitText,
    dropins: some(dropin, one => one['name'], 2),
  },
  ['name'],
);

const sshKey = fc.base64String({minLength: 8, maxLength: 24}).map(one => `ssh-ed25519 AAAA${one} me`);
const user = record(
  {
    name: word,
    password_hash: fc.constant('$y$j9T$abc'),
    ssh_authorized_keys: fc.uniqueArray(sshKey, {maxLength: 2}),
    uid: fc.nat(60_000),
    gecos: word,
    home_dir: path,
    no_create_home: fc.boolean(),
    primary_group: word,
    groups: fc.uniqueArray(word, {maxLength: 2}),
    no_user_group: fc.boolean(),
    no_log_init: fc.boolean(),
    shell: fc.constant('/bin/bash'),
    should_exist: fc.boolean(),
    system: fc.boolean(),
  },
  ['name'],
);
const group = record(
  {name: word, gid: fc.nat(60_000), password_hash: word, should_exist: fc.boolean(), system: fc.boolean()},
  ['name'],
);

const ignition = record({
  config: fc.oneof(
    record({merge: fc.uniqueArray(remote, {selector: one => one['source'], maxLength: 2})}),
    record({replace: remote}),
  ),
  timeouts: record({http_response_headers: fc.nat(100), http_total: fc.nat(100)}),
  security: record({
    tls: record({
      certificate_authorities: fc.uniqueArray(remote, {selector: one => one['source'], maxLength: 2}),
    }),
  }),
  proxy: record({
    http_proxy: fc.webUrl({validSchemes: ['http', 'https']}),
    https_proxy: fc.webUrl({validSchemes: ['https']}),
    no_proxy: fc.uniqueArray(word, {maxLength: 2}),
  }),
});

/** Paths of all nodes differ, and none leads through a link. */
const storage = fc
  .record({
    files: fc.array(file, {maxLength: 3}),
    directories: fc.array(directory, {maxLength: 2}),
    links: fc.array(link, {maxLength: 2}),
    disks: some(disk, one => one['device'], 2),
    raid: some(raid, one => one['name'], 2),
    filesystems: fc.uniqueArray(filesystem, {selector: one => one['device'], maxLength: 3}),
    luks: some(luks, one => one['name'], 1),
  })
  .map(parts => {
    const seen: string[] = [];
    const distinct = (nodes: Value[]) =>
      nodes.filter(node => {
        const own = String(node['path']);
        if (seen.some(other => other === own || own.startsWith(`${other}/`) || other.startsWith(`${own}/`)))
          return false;
        seen.push(own);
        return true;
      });
    const mounted = new Set<unknown>();
    const filesystems = parts.filesystems.filter(
      one => one['path'] === undefined || (!mounted.has(one['path']) && mounted.add(one['path'])),
    );
    return {
      ...parts,
      links: distinct(parts.links),
      files: distinct(parts.files),
      directories: distinct(parts.directories),
      filesystems,
    };
  });

export const baseConfig = record({
  ignition,
  storage,
  systemd: fc.record({units: some(unit, one => one['name'])}),
  passwd: fc.record({users: some(user, one => one['name']), groups: some(group, one => one['name'], 2)}),
});

/** Values that are wrong in most places, and right in some. */
const oddValues: readonly unknown[] = [
  [
    '',
    '/',
    '/a/',
    '/a//b',
    'a/b',
    '/a/../b',
    'x'.repeat(300),
    'ü',
    'a:b',
    'ext4',
    'gzip',
    'raid0',
    'linear',
    'tpm2',
  ],
  [
    'http://',
    'http://h:99999/x',
    'http://h:x/',
    'http://[::1',
    'https://a b/',
    'http://h/%zz',
    'ftp://x/y',
    '//h/x',
  ],
  [
    'HTTP://h/x',
    'http://u:p@h/',
    'http://h/"',
    'http://h#f',
    'http://[::1]:80/x',
    's3://b/k?versionId=',
    'gs://',
  ],
  [
    'data:',
    'data:,%zz',
    'data:;base64,!!!',
    'data:;base64,QQ',
    'data:x,y',
    'data:text/plain,a#b',
    'data:,a b',
  ],
  ['sha256-zz', `sha256-${'a'.repeat(64)}`, `sha1-${'a'.repeat(40)}`, 'a.service', '../a.service', 'a.conf'],
  [
    '[Unit\nA=b',
    '[Unit]\nA',
    '[Unit]\nA=b\\',
    '=x',
    `[U]\na=${'x'.repeat(3000)}`,
    '# c\\\n[A]\nb=c',
    '[A]\r\nb=c\r\n',
  ],
  [0, -1, 7, 5000, 1.5, true, false, null, [], {}, ['a', 'a'], [{}]],
].flat();

/** Replaces one part of a JSON config by an odd value. */
export const mutatedText: fc.Arbitrary<(json: string) => string> = fc
  .tuple(fc.nat(), fc.constantFrom(...oddValues))
  .map(([pick, value]) => (json: string) => {
    const config: unknown = JSON.parse(json);
    const places = placesOf(config);
    const place = places[pick % Math.max(1, places.length)];
    if (place !== undefined) Reflect.set(place.owner, place.field, value);
    return JSON.stringify(config);
  });

/** Every field and list item of `value`, at any depth. */
export function placesOf(value: unknown): {owner: object; field: string}[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([field, inner]: [string, unknown]) => [
    {owner: value, field},
    ...placesOf(inner),
  ]);
}
