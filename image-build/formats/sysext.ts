/** Images of system extensions: a GPT with a file system, its dm-verity tree and, when signed, the signature. */
import {Type} from 'typebox';
import {partitionType, slotPartitionUuids} from '../../services/common/contracts/slots.ts';
import {parseJson} from '../../services/common/parse.ts';
import {sliceSource, type ByteSource} from '../../services/common/formats/byte-source.ts';
import {FormatError} from '../../services/common/formats/errors.ts';
import {findPartition, readGpt} from '../../services/common/formats/gpt.ts';
import {verifyVerity} from '../../services/common/formats/verity.ts';

/** Discoverable Partitions Specification: content of a verity signature partition, padded with zeros. */
const VeritySignature = Type.Object({
  rootHash: Type.String(),
  certificateFingerprint: Type.String(),
  /** PKCS#7, DER, base64. */
  signature: Type.String(),
});

export interface SysextImage {
  readonly rootHash: string;
  /** Bytes from the start of the image to its file system. */
  readonly fileSystemOffset: number;
  /** The whole signature partition; undefined when there is none. */
  readonly signature: Uint8Array | undefined;
  /** SHA-256 of the certificate that signed, hex. */
  readonly certificate: string | undefined;
}

/**
 * Reads the image and proves all of it against `rootHash`. Throws {@link FormatError} when a partition is missing, is
 * not named by the root hash, does not fit it, or when the signature is for another one.
 */
export async function readSysext(image: ByteSource, rootHash: string): Promise<SysextImage> {
  const gpt = await readGpt(image);
  const uuids = slotPartitionUuids(rootHash);
  const data = findPartition(gpt, {type: partitionType.root, uuid: uuids.data});
  const tree = findPartition(gpt, {type: partitionType.rootVerity, uuid: uuids.tree});
  const slice = (one: {offset: number; size: number}) => sliceSource(image, one.offset, one.size);
  await verifyVerity(slice(data), slice(tree), rootHash);
  const signed = gpt.partitions.find(one => one.type === partitionType.rootVeritySignature);
  if (signed === undefined)
    return {rootHash, fileSystemOffset: data.offset, signature: undefined, certificate: undefined};
  const signature = await slice(signed).read(0, signed.size);
  const {certificateFingerprint} = readVeritySignature(signature, rootHash);
  return {rootHash, fileSystemOffset: data.offset, signature, certificate: certificateFingerprint};
}

/** The content of a signature partition. Throws {@link FormatError} `export-differs` when it is for another root hash. */
export function readVeritySignature(
  partition: Uint8Array,
  rootHash: string,
): {certificateFingerprint: string} {
  const text = new TextDecoder().decode(partition).replace(/\0+$/, '');
  const found = parseJson(VeritySignature, text, 'the verity signature');
  if (found.rootHash === rootHash) return found;
  throw new FormatError('export-differs', `the verity signature is for the root hash ${found.rootHash}`);
}
