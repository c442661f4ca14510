/** Names and GUIDs of the disk layout (DESIGN.md D1), shared by image build and updater. */

/** Discoverable Partitions Specification, x86-64. */
export const partitionType = {
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  usr: '8484680c-9521-48c6-9c11-b0720656f69e',
  usrVerity: '77ff5f63-e7b6-4633-acf4-1565b864c0e6',
  root: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  rootVerity: '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5',
  rootVeritySignature: '41092b05-9fc8-4523-994f-2def0408b176',
} as const;

/** Label of a slot that holds no release. */
export const emptySlotLabel = '_empty';

export function slotLabel(version: string): string {
  return `hawser_${version}`;
}

export function slotTreeLabel(version: string): string {
  return `hawser_${version}_v`;
}

/** File name of a UKI in the ESP, with `tries` boots left (Boot Loader Specification, boot counting). */
export function ukiFileName(version: string, tries: number): string {
  return `hawser_${version}+${tries}.efi`;
}

/**
 * The partition UUIDs that `usrhash=` makes systemd look for: the first 128 bits of the root hash name the
 * data partition, the last 128 bits its hash partition (systemd-veritysetup-generator).
 */
export function slotPartitionUuids(rootHash: string): {data: string; tree: string} {
  return {data: uuidFromHex(rootHash.slice(0, 32)), tree: uuidFromHex(rootHash.slice(-32))};
}

function uuidFromHex(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
