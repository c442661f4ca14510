/** What an image really holds, read from its disk rather than from its manifest. */
import {X509Certificate} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {partitionType} from '../services/common/contracts/slots.ts';
import {HawserError} from '../services/common/errors.ts';
import {sha256, sha256File} from '../services/common/hash.ts';
import {findRelease} from './formats/exporters/update.ts';
import {openFileSource} from '../services/common/formats/file-source.ts';
import {readGpt} from '../services/common/formats/gpt.ts';
import {authenticodeDigest} from './formats/pe-signature.ts';
import {parsePe, type Pe} from '../services/common/formats/pe.ts';
import {sha256Sparse} from './formats/sparse-hash.ts';
import {readSysext} from './formats/sysext.ts';
import {readUki, ukiText} from '../services/common/formats/uki.ts';
import {verifyVerity} from '../services/common/formats/verity.ts';
import {artefactPath, type Image} from './images.ts';
import {keySetPaths} from './keys/key-set.ts';
import {sideFiles} from './publish.ts';

export interface Inspection {
  readonly partitions: readonly {
    readonly number: number;
    readonly kind: string;
    readonly label: string;
    readonly uuid: string;
    readonly size: number;
  }[];
  readonly uki: {
    readonly sections: readonly {readonly name: string; readonly size: number}[];
    readonly commandLine: string;
  };
  readonly signatures: Readonly<Record<'boot-loader' | 'uki', SignatureState>>;
  readonly sysexts: readonly SysextInspection[];
  /** What does not fit; empty for a sound image. */
  readonly problems: readonly string[];
}

export interface SysextInspection {
  readonly name: string;
  readonly rootHash: string;
  /** SHA-256 of the certificate that signed the root hash; undefined for an unsigned one. */
  readonly certificate: string | undefined;
}

export interface SignatureState {
  /** `fits`: the signature was made for these bytes; `other-bytes`: for others, so no firmware takes it. */
  readonly state: 'unsigned' | 'fits' | 'other-bytes';
  /** SHA-256 of our signing certificate, when it is in the signature. */
  readonly certificate?: string;
}

/** Reads and checks; what is wrong with the content goes into `problems`. Throws when the image cannot be read at all. */
export async function inspectImage(image: Image, signal: AbortSignal): Promise<Inspection> {
  const problems: string[] = [];
  const attempt = async (work: () => Promise<void>) => {
    try {
      signal.throwIfAborted();
      await work();
    } catch (error) {
      if (!(error instanceof HawserError)) throw error;
      problems.push(error.message);
    }
  };
  let partitions: Inspection['partitions'] = [];
  const {manifest} = image;
  for (const [name, artefact] of Object.entries(manifest.artefacts)) {
    await attempt(async () => {
      const path = await artefactPath(image, name);
      const digest = name === 'disk' ? await sha256Sparse(path, signal) : await sha256File(path);
      if (digest !== artefact.sha256)
        problems.push(`${artefact.file} has not the bytes that its manifest says`);
    });
  }
  const {rootHash, version} = manifest;
  await attempt(async () => {
    if (manifest.artefacts['disk'] !== undefined) {
      await using disk = await openFileSource(await artefactPath(image, 'disk'));
      const gpt = await readGpt(disk);
      partitions = gpt.partitions.map(one => ({
        number: one.number,
        kind: kindOf(one.type),
        label: one.label,
        uuid: one.uuid,
        size: one.size,
      }));
      await findRelease(disk, {release: {version, rootHash}, signal});
      return;
    }
    await using usr = await openFileSource(await artefactPath(image, 'usr'));
    await using tree = await openFileSource(await artefactPath(image, 'tree'));
    await verifyVerity(usr, tree, rootHash);
  });
  const sysexts: SysextInspection[] = [];
  for (const [name, hash] of Object.entries(manifest.sysexts ?? {})) {
    await attempt(async () => {
      await using source = await openFileSource(await artefactPath(image, `sysext-${name}`));
      const {certificate} = await readSysext(source, hash);
      sysexts.push({name, rootHash: hash, certificate});
      if ((certificate !== undefined) !== manifest.signed)
        problems.push(
          `the manifest says ${manifest.signed ? 'signed' : 'unsigned'}, the extension ${name} is not`,
        );
    });
  }
  const uki = parsePe(await readFile(await artefactPath(image, 'uki')));
  const loader = parsePe(await readFile(await artefactPath(image, 'boot-loader')));
  const certificate = await readCertificate(image);
  const signatures = {
    'boot-loader': signatureState(loader, certificate),
    uki: signatureState(uki, certificate),
  };
  for (const [name, {state}] of Object.entries(signatures)) {
    if (state === 'other-bytes') problems.push(`the signature of ${name} was made for other bytes`);
    if ((state === 'unsigned') === manifest.signed)
      problems.push(`the manifest says ${manifest.signed ? 'signed' : 'unsigned'}, ${name} is not`);
  }
  const {base} = readUki(uki);
  const sections = [...base].map(([name, content]) => ({name, size: content.length}));
  return {
    partitions,
    uki: {sections, commandLine: ukiText(base, '.cmdline') ?? ''},
    signatures,
    sysexts,
    problems,
  };
}

/** Whether a PE image is signed, and whether for its own bytes. The RSA signature itself is the firmware's to check. */
export function signatureState(pe: Pe, certificate: Uint8Array | undefined): SignatureState {
  if (pe.certificateTable === undefined) return {state: 'unsigned'};
  const {offset, size} = pe.certificateTable;
  const table = Buffer.from(pe.bytes.buffer, pe.bytes.byteOffset + offset, size);
  const state = table.includes(Buffer.from(authenticodeDigest(pe), 'hex')) ? 'fits' : 'other-bytes';
  const ours = certificate !== undefined && table.includes(Buffer.from(certificate));
  return {state, ...(ours ? {certificate: sha256(certificate)} : {})};
}

async function readCertificate(image: Image): Promise<Uint8Array | undefined> {
  const path = keySetPaths(join(image.folder, sideFiles.signatures)).db.certificate;
  const pem = await readFile(path).catch(() => undefined);
  return pem === undefined ? undefined : new X509Certificate(pem).raw;
}

function kindOf(type: string): string {
  return Object.entries(partitionType).find(([, guid]) => guid === type)?.[0] ?? type;
}
