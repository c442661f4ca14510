/**
 * Between the rack's server and a machine that was booted from the network to be installed. Everything here goes over
 * HTTPS, with the fleet's CA (which the rack's signed UKI carries) and the name `server.hawser.internal`; a machine
 * that waits is answered, or told 503 with Retry-After, never 404.
 *
 * At every boot the machine makes two keys: X25519, which permits are sealed to, and Ed25519, which signs each of its
 * requests. The fingerprint over both is on its console; the operator approves that, since MAC, UUID and serial can be
 * forged. How it is computed, signed and sealed: `services/common/rack-crypto.ts`.
 *
 * The order: report until told to install → open the permit, find its one disk → fetch the config → begin (the permit is
 * burned) → write, with progress → installed, or failed. Nothing is written to any disk before begin was answered by 200.
 */
import {Type, type Static} from 'typebox';
import {Hex64, SemverText, Uuid} from './release.ts';

export {Uuid} from './release.ts';

export const RACK_SCHEMA = 1;

/** Paths on the HTTPS server. `ID` is the permit's. */
export const rackPaths = {
  report: '/v1/rack/report',
  /** GET, with the permit's token as bearer: the Ignition config (JSON). */
  config: '/v1/rack/config',
  begin: (id: string) => `/v1/rack/permits/${id}/begin`,
  progress: (id: string) => `/v1/rack/permits/${id}/progress`,
  installed: (id: string) => `/v1/rack/permits/${id}/installed`,
  failed: (id: string) => `/v1/rack/permits/${id}/failed`,
} as const;

/**
 * Headers of a signed request: every POST, and the agent's GET of the config. Both in lower case.
 * `sequence`: a whole number that grows with every request of this boot, tries again included; the server refuses one
 * that it has seen (409 `replayed`), so a lost answer is asked for again with the next number.
 * `signature`: base64url of the Ed25519 signature (rack-crypto.ts, `requestBytes`).
 */
export const rackHeaders = {sequence: 'hawser-rack-sequence', signature: 'hawser-rack-signature'} as const;

/** Largest body of a machine's request, in bytes. */
export const RACK_BODY_LIMIT = 256 * 1024;

const text = (maxLength: number) => Type.String({maxLength});
/** 32 bytes, base64url without padding. */
export const Key32 = Type.String({pattern: '^[A-Za-z0-9_-]{43}$'});
export const Base64Url = (maxLength: number) => Type.String({pattern: '^[A-Za-z0-9_-]+$', maxLength});
/** Lower case, colons. */
export const MacAddress = Type.String({pattern: '^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$'});
/** Names a permit; says nothing by itself. */
export const PermitId = Type.String({pattern: '^[A-Za-z0-9_-]{22}$'});
const Bytes = Type.Integer({minimum: 0});

/** The public halves of the keys that the machine made at this boot. */
export const RackKeys = Type.Object({x25519: Key32, ed25519: Key32});
export type RackKeys = Static<typeof RackKeys>;

export const RackNic = Type.Object({
  name: text(32),
  mac: MacAddress,
  /** Carrier. */
  up: Type.Boolean(),
  /** Mbit/s, where the driver knows. */
  speed: Type.Optional(Type.Integer({minimum: 0})),
  driver: Type.Optional(text(64)),
  /** `192.0.2.7/24`, `2001:db8::7/64`. */
  addresses: Type.Array(text(64), {maxItems: 32}),
});
export type RackNic = Static<typeof RackNic>;

/** What was found on a disk or on one of its partitions, as wipefs and blkid name it. */
export const RackLeftover = Type.Object({
  /** `gpt`, `dos`, `linux_raid_member`, `LVM2_member`, `crypto_LUKS`, `ext4`, `xfs`, `vfat`, `ntfs`, ... */
  type: text(64),
  /** Device node: the disk's, or a partition's. */
  on: text(128),
  label: Type.Optional(text(128)),
  /** Held now by a running array, volume group, mount or swap: what has to be let go of first. */
  inUse: Type.Optional(Type.Boolean()),
});
export type RackLeftover = Static<typeof RackLeftover>;

export const diskTransports = ['nvme', 'sata', 'sas', 'scsi', 'virtio', 'usb', 'mmc', 'other'] as const;
export type DiskTransport = (typeof diskTransports)[number];

export const RackDisk = Type.Object({
  /** `/dev/vda`: of this boot alone. */
  path: Type.String({pattern: '^/dev/[A-Za-z0-9/_.-]+$', maxLength: 128}),
  /** As the kernel says, spaces at the ends taken away; absent where the disk has none. */
  serial: Type.Optional(Type.String({minLength: 1, maxLength: 128})),
  /** `0x5000c500a1b2c3d4`, `eui.0025385b71b0a1c2`: as `lsblk -o WWN` says, lower case. */
  wwn: Type.Optional(Type.String({minLength: 1, maxLength: 128})),
  bytes: Bytes,
  sectorBytes: Type.Integer({minimum: 512}),
  transport: Type.Enum(diskTransports),
  model: Type.Optional(text(128)),
  vendor: Type.Optional(text(64)),
  rotational: Type.Boolean(),
  removable: Type.Boolean(),
  readOnly: Type.Boolean(),
  leftovers: Type.Array(RackLeftover, {maxItems: 128}),
  /** A Hawser is installed on it: its version where its slots say one, and whether it has a root partition to keep. */
  hawser: Type.Optional(Type.Object({version: Type.Optional(text(64)), root: Type.Boolean()})),
});
export type RackDisk = Static<typeof RackDisk>;

/** `POST /v1/rack/report`: who I am and what I have. Repeated after each wait; signed with the key that it brings. */
export const RackReport = Type.Object({
  schema: Type.Literal(RACK_SCHEMA),
  keys: RackKeys,
  /** SMBIOS's system UUID, lower case; absent when there is none (or all zeros or all ones). */
  uuid: Type.Optional(Uuid),
  /** SMBIOS's system serial; absent when empty or a filler (`To be filled by O.E.M.`, `Not Specified`, `0`). */
  serial: Type.Optional(Type.String({minLength: 1, maxLength: 128})),
  vendor: Type.Optional(text(128)),
  product: Type.Optional(text(128)),
  assetTag: Type.Optional(text(128)),
  architecture: Type.Literal('x86_64'),
  nics: Type.Array(RackNic, {minItems: 1, maxItems: 64}),
  /** The NIC that this boot came over, where it is known. */
  bootMac: Type.Optional(MacAddress),
  cpu: Type.Object({
    model: text(128),
    sockets: Type.Integer({minimum: 1}),
    cores: Type.Integer({minimum: 1}),
    threads: Type.Integer({minimum: 1}),
  }),
  /** Bytes. */
  memory: Bytes,
  disks: Type.Array(RackDisk, {maxItems: 256}),
  firmware: Type.Object({
    kind: Type.Union([Type.Literal('uefi'), Type.Literal('bios')]),
    vendor: Type.Optional(text(128)),
    version: Type.Optional(text(128)),
    secureBoot: Type.Union([
      Type.Literal('enabled'),
      Type.Literal('disabled'),
      Type.Literal('setup'),
      Type.Literal('absent'),
    ]),
    tpm: Type.Union([Type.Literal('2.0'), Type.Literal('1.2'), Type.Literal('absent')]),
  }),
  /** Milliseconds since the epoch by the machine's own clock, before anybody corrected it. */
  clock: Type.Integer(),
  /** The netboot system that speaks. */
  agent: Type.Object({version: text(64), rootHash: Type.Optional(Hex64)}),
  /** What is wrong here, each in one sentence; shown by `hawser rack ls` and `hawser explain`. */
  problems: Type.Array(text(512), {maxItems: 32}),
});
export type RackReport = Static<typeof RackReport>;

/**
 * `seen`: known, nobody has approved it; `approved`: it may be installed, a permit waits for it; `installing`: its permit
 * is burned, its disk is being written; `installed`: boots from its disk; `joined`: the installed system has enrolled;
 * `quarantined`: something went wrong or does not fit, an operator has to look.
 */
export const rackStates = ['seen', 'approved', 'installing', 'installed', 'joined', 'quarantined'] as const;
export const RackState = Type.Enum(rackStates);
export type RackState = (typeof rackStates)[number];

/** Only the holder of the X25519 key can open it (rack-crypto.ts, `openSealed`). */
export const Sealed = Type.Object({
  /** The sender's X25519 key of this one message. */
  ephemeral: Key32,
  /** 12 bytes. */
  nonce: Type.String({pattern: '^[A-Za-z0-9_-]{16}$'}),
  /** AES-256-GCM, the 16 bytes of its tag at the end. */
  ciphertext: Base64Url(65_536),
});
export type Sealed = Static<typeof Sealed>;

const Reason = text(512);

/** What to do now. */
export const RackTask = Type.Union([
  /** Show the reason, ask again after `seconds`. */
  Type.Object({
    kind: Type.Literal('wait'),
    seconds: Type.Integer({minimum: 1, maximum: 3600}),
    reason: Reason,
  }),
  /** Open `sealed` (JSON of {@link RackPermit}) and install. The same permit is given again until it was begun. */
  Type.Object({kind: Type.Literal('install'), permit: PermitId, sealed: Sealed, reason: Reason}),
  /** This machine is installed: boot its own disk. */
  Type.Object({kind: Type.Literal('boot-disk'), reason: Reason}),
  /** Show the reason, touch nothing, ask again after `seconds`. */
  Type.Object({
    kind: Type.Literal('quarantined'),
    seconds: Type.Integer({minimum: 1, maximum: 3600}),
    reason: Reason,
  }),
]);
export type RackTask = Static<typeof RackTask>;

/** Answer to a report. */
export const RackAnswer = Type.Object({
  /** The machine's UUID with us from now on, whatever SMBIOS says. */
  machine: Uuid,
  /** The name that its group gives it; absent while it matches none. */
  name: Type.Optional(text(64)),
  state: RackState,
  /** Of the keys in the report, as the server computed it: shown beside our own. */
  fingerprint: text(64),
  /** Milliseconds since the epoch: a clock that is over a minute off is set to it. */
  clock: Type.Integer(),
  task: RackTask,
});
export type RackAnswer = Static<typeof RackAnswer>;

/** The parts of a release that an installer may write; names as in the image's manifest. */
export const RackArtefact = Type.Object({
  name: Type.Union([
    Type.Literal('usr'),
    Type.Literal('tree'),
    Type.Literal('uki'),
    Type.Literal('boot-loader'),
    Type.Literal('disk.zst'),
  ]),
  /**
   * Absolute; plain HTTP is fine, since the hash is checked. The path ends in `/artefacts/SHA256`; byte ranges are
   * served. `fetch.sha256` and `size` are of what the URL gives, `sha256` and `bytes` of what is written.
   */
  url: Type.String({pattern: '^https?://', maxLength: 2048}),
  compression: Type.Union([Type.Literal('none'), Type.Literal('zstd')]),
  fetch: Type.Object({bytes: Bytes, sha256: Hex64}),
  /** Absent where only the compressed bytes are known by hash (`disk.zst`). */
  content: Type.Optional(Type.Object({bytes: Bytes, sha256: Hex64})),
});
export type RackArtefact = Static<typeof RackArtefact>;

/** The one disk: all that is given must be equal, exactly one disk may fit, else nothing is written (`disk-…`). */
export const PermittedDisk = Type.Object({
  serial: Type.Optional(Type.String({minLength: 1, maxLength: 128})),
  wwn: Type.Optional(Type.String({minLength: 1, maxLength: 128})),
  bytes: Bytes,
  /** At the time of the report; only tells apart disks without serial and WWN (a machine's single virtual disk). */
  path: text(128),
});
export type PermittedDisk = Static<typeof PermittedDisk>;

/** The right to write one disk of one machine once. Sealed in {@link RackTask}. */
export const RackPermit = Type.Object({
  schema: Type.Literal(RACK_SCHEMA),
  id: PermitId,
  /** As in {@link RackAnswer}. */
  machine: Uuid,
  name: text(64),
  /** Milliseconds since the epoch, by the server's clock; the server checks it at begin. */
  expires: Type.Integer(),
  disk: PermittedDisk,
  release: Type.Object({
    version: SemverText,
    rootHash: Hex64,
    artefacts: Type.Array(RackArtefact, {minItems: 1, maxItems: 8}),
  }),
  /** Reinstall: the root partition (label and type as in `slots.ts`) and what is on it stay. */
  keepData: Type.Boolean(),
  /** `tpm2`: fail without a TPM 2.0; `tpm2-if-present`: use it where there is one. */
  encryption: Type.Union([Type.Literal('none'), Type.Literal('tpm2'), Type.Literal('tpm2-if-present')]),
  config: Type.Object({
    /** Absolute HTTPS URL, without any secret in it. */
    url: Type.String({pattern: '^https://', maxLength: 2048}),
    /**
     * Bearer token. With the agent's signature it fetches the config as often as needed until installed or failed is
     * told; without (Ignition itself fetches) exactly once. 503 while it is not ready, 410 once burned.
     */
    token: Base64Url(128),
    /** Of the whole Ignition config. */
    bytes: Bytes,
    sha256: Hex64,
  }),
});
export type RackPermit = Static<typeof RackPermit>;

/** `POST …/begin`: burns the permit. The same `attempt` again (a lost answer) gets the same answer; another: 409. */
export const BeginRequest = Type.Object({
  /** 16 random bytes, base64url; made once, kept in memory only. */
  attempt: Type.String({pattern: '^[A-Za-z0-9_-]{22}$'}),
  /** The disk that will be written, as found. */
  disk: Type.Pick(RackDisk, ['path', 'serial', 'wwn', 'bytes']),
});
export type BeginRequest = Static<typeof BeginRequest>;
export const BeginAnswer = Type.Object({begun: Type.Literal(true)});
export type BeginAnswer = Static<typeof BeginAnswer>;

/** In the order in which an installation goes through them. */
export const installSteps = [
  'config',
  'begin',
  'clear',
  'partition',
  'encrypt',
  'write',
  'verify',
  'boot-entry',
  'finish',
] as const;
export const InstallStep = Type.Enum(installSteps);
export type InstallStep = (typeof installSteps)[number];

/** `POST …/progress`: at a change of step, and every few seconds within one. */
export const ProgressRequest = Type.Object({
  step: InstallStep,
  /** Of this step: done and all, in bytes. */
  done: Type.Optional(Bytes),
  total: Type.Optional(Bytes),
  /** Log lines since the last one, oldest first. No secrets. */
  lines: Type.Array(text(1024), {maxItems: 200}),
});
export type ProgressRequest = Static<typeof ProgressRequest>;
/** `stop`: an operator quarantined the machine; end with failed (`stopped`). */
export const ProgressAnswer = Type.Object({
  go: Type.Union([Type.Literal('on'), Type.Literal('stop')]),
  reason: Type.Optional(Reason),
});
export type ProgressAnswer = Static<typeof ProgressAnswer>;

/** `POST …/installed`. The same again is answered the same. Burns the config's token. */
export const InstalledRequest = Type.Object({
  version: SemverText,
  rootHash: Hex64,
  encrypted: Type.Boolean(),
  /** What was fetched over the network and what was written, in bytes. */
  fetched: Bytes,
  written: Bytes,
  /** That each step took, by its name. */
  seconds: Type.Record(Type.String({pattern: '^[a-z-]{1,32}$'}), Type.Number({minimum: 0}), {
    maxProperties: 32,
  }),
  lines: Type.Array(text(1024), {maxItems: 200}),
});
export type InstalledRequest = Static<typeof InstalledRequest>;
export const InstalledAnswer = Type.Object({reboot: Type.Literal(true)});
export type InstalledAnswer = Static<typeof InstalledAnswer>;

export const installFailures = [
  'permit-unreadable',
  'disk-missing',
  'disk-ambiguous',
  'disk-differs',
  'disk-in-use',
  'disk-too-small',
  'disk-read-only',
  'config-unavailable',
  'config-damaged',
  'fetch-failed',
  'image-damaged',
  'write-failed',
  'read-back-differs',
  'no-data-to-keep',
  'no-tpm',
  'tpm-failed',
  'boot-entry-failed',
  'stopped',
  'fault',
] as const;
export type InstallFailure = (typeof installFailures)[number];

/** `POST …/failed`: before begin too (the permit is void then). The machine is quarantined. */
export const FailedRequest = Type.Object({
  code: Type.Enum(installFailures),
  step: InstallStep,
  /** What happened, in one sentence. */
  message: text(1024),
  /** Whether a byte was written to the disk. */
  wrote: Type.Boolean(),
  lines: Type.Array(text(1024), {maxItems: 200}),
});
export type FailedRequest = Static<typeof FailedRequest>;
export const FailedAnswer = Type.Object({noted: Type.Literal(true)});
export type FailedAnswer = Static<typeof FailedAnswer>;

/**
 * `kind` of an ErrorAnswer (fleet.ts) to a machine. 400 `malformed`; 401 `not-authentic` (signature, keys, token or
 * permit, all alike); 409 `replayed` | `permit-used` | `wrong-disk`; 410 `permit-void` | `token-burned`; 413; 429 and 503
 * `not-ready` | `busy` with Retry-After: ask again. Anything else from 500 on: ask again with back-off.
 */
export const rackRefusals = [
  'malformed',
  'not-authentic',
  'replayed',
  'permit-used',
  'wrong-disk',
  'permit-void',
  'token-burned',
  'not-ready',
  'busy',
] as const;
export type RackRefusal = (typeof rackRefusals)[number];

/** What iPXE knows of a machine when it asks for its script: `/ipxe?uuid=...&mac=...`. Nothing of it is trusted. */
export interface BootQuery {
  readonly uuid?: string;
  /** Any usual notation. */
  readonly mac?: string;
  readonly serial?: string;
  readonly asset?: string;
  readonly manufacturer?: string;
  readonly product?: string;
  /** iPXE's `${platform}`: `efi` or `pcbios`. */
  readonly platform?: string;
}

/**
 * What a booting machine is told; the netboot side renders it. `netboot`: the UKI. `local-disk`: leave to the firmware's
 * next entry. `refuse`: show the reason, wait, ask again (SeaBIOS, two groups that match).
 */
export type BootDecision =
  | {readonly kind: 'netboot'; readonly reason: string}
  | {readonly kind: 'local-disk'; readonly reason: string}
  | {readonly kind: 'refuse'; readonly reason: string; readonly seconds: number};

/** What the rack's service lends to the HTTP side of netboot. */
export interface RackBoot {
  /** Writes down that the machine asked. Rejects while the store cannot be read: answer 503 with Retry-After. */
  decide(query: BootQuery): Promise<BootDecision>;
  /** The file with this SHA-256, for `/artefacts/SHA256`; undefined when no release has it: answer 503, never 404. */
  artefact(sha256: string): Promise<{readonly path: string; readonly bytes: number} | undefined>;
}
