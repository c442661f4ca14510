/**
 * By what a machine's things are found again, whatever the ledger says: everything is made from UUIDs and is set when
 * the thing is made. Pure.
 */

export interface Marked {
  readonly uuid: string;
  readonly name: string;
  readonly generation: number;
}

/** Nova's tags: at most 60 characters, no slash and no comma. */
export function serverTags(uuid: string, fleet: string): readonly [string, string] {
  return [uuidTag(uuid), fleetTag(fleet)];
}

export function uuidTag(uuid: string): string {
  return `hawser-uuid-${uuid}`;
}

export function fleetTag(fleet: string): string {
  return `hawser-fleet-${fleet}`;
}

/** Nova's metadata, for people and for `list`. Values have at most 255 characters. */
export function serverMetadata(
  {uuid, name, generation}: Marked,
  fleet: string,
  operator: string,
): Readonly<Record<string, string>> {
  return {
    'hawser:uuid': uuid,
    'hawser:machine': name,
    'hawser:generation': String(generation),
    'hawser:fleet': fleet,
    'hawser:owner': operator,
  };
}

export function portName(uuid: string): string {
  return `hawser-${uuid}`;
}

/** One group for all machines of a store: projects are often given no more than ten. */
export function groupName(fleet: string): string {
  return `hawser-fleet-${fleet}`;
}

/** The description of ports and floating addresses: Neutron's tags come in a second call, which may be too late. */
export function describeMark({uuid, name, generation}: Marked, fleet: string): string {
  return `hawser uuid=${uuid} fleet=${fleet} generation=${generation} name=${name}`;
}

const MARK = /^hawser uuid=([0-9a-f-]{36}) fleet=(\S+) generation=(\d+) name=(\S+)$/;

/** Undefined for what is not of ours. */
export function readMark(description: string | undefined): (Marked & {readonly fleet: string}) | undefined {
  const [, uuid, fleet, generation, name] = MARK.exec(description ?? '') ?? [];
  if (uuid === undefined || fleet === undefined || name === undefined) return undefined;
  return {uuid, fleet, generation: Number(generation), name};
}
