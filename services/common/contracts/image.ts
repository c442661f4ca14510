/** What a built image is, on disk: `manifest.json` beside the artefacts that it lists. */
import {Type, type Static} from 'typebox';

const Hex64 = Type.String({pattern: '^[0-9a-f]{64}$'});

export const Artefact = Type.Object({
  file: Type.String({pattern: '^[A-Za-z0-9._+-]+$'}),
  /** Bytes. */
  size: Type.Integer({minimum: 0}),
  sha256: Hex64,
});
export type Artefact = Static<typeof Artefact>;

/**
 * `disk`: raw GPT disk; `qcow2`, `disk.zst`: the same bytes, compressed; `usr`, `tree`, `uki`: the update
 * artefacts; `sbom.spdx`, `sbom.cdx`: bills of materials.
 */
export const ArtefactName = Type.Union([
  Type.Literal('disk'),
  Type.Literal('qcow2'),
  Type.Literal('usr'),
  Type.Literal('tree'),
  Type.Literal('uki'),
  Type.Literal('boot-loader'),
  Type.Literal('disk.zst'),
  Type.Literal('sbom.spdx'),
  Type.Literal('sbom.cdx'),
]);
export type ArtefactName = Static<typeof ArtefactName>;
/** The image of a system extension; a release has any number of them. */
export type SysextArtefactName = `sysext-${string}`;

export const ImageManifest = Type.Object({
  schema: Type.Literal(1),
  name: Type.String(),
  /** semver */
  version: Type.String(),
  architecture: Type.Literal('x86_64'),
  /** False when packages were resolved anew because locked ones are gone from the archive. */
  locked: Type.Boolean(),
  /** Whether boot loader and UKI carry Secure Boot signatures. */
  signed: Type.Boolean(),
  /** dm-verity root hash of /usr: the name of this OS release in every format. */
  rootHash: Hex64,
  kernel: Type.String(),
  /** SHA-256 of the lock that the image was built from. */
  lockSha256: Hex64,
  /** Hash of everything that the build was given: recipe, lock, files, agents, signing certificate. */
  inputs: Hex64,
  artefacts: Type.Record(Type.String(), Artefact),
  /** System extensions of this release by name: dm-verity root hash of the artefact `sysext-NAME`. */
  sysexts: Type.Optional(Type.Record(Type.String(), Hex64)),
});
export type ImageManifest = Static<typeof ImageManifest>;
