/** Values of flags, one parser each. They throw `bad-setting`. */
import {isIP} from 'node:net';
import {Type, type Static} from 'typebox';
import {MachineError} from '../../errors.ts';

export const Port = Type.Integer({minimum: 1, maximum: 65_535});
export const OpenPort = Type.Object({
  port: Port,
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
});
export type OpenPort = Static<typeof OpenPort>;

/** docker-machine's list: `key1,value1,key2,value2`. */
export function parseTags(text: string): Record<string, string> {
  const words = text === '' ? [] : text.split(',').map(word => word.trim());
  const tags: Record<string, string> = {};
  for (let at = 0; at < words.length; at += 2) {
    const [key = '', value] = words.slice(at, at + 2);
    // EC2: keys of at most 128 characters, values of 256, aws: is theirs; hawser: is ours.
    if (
      key === '' ||
      value === undefined ||
      key.length > 128 ||
      value.length > 256 ||
      /^(aws|hawser):/.test(key)
    )
      throw badSetting('amazonec2-tags', text, 'for instance team,web,stage,test');
    tags[key] = value;
  }
  return tags;
}

/** `80`, `80/tcp` or `53/udp`. */
export function parseOpenPort(text: string): OpenPort {
  const [, digits = '', protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port < 1 || port > 65_535)
    throw badSetting('amazonec2-open-port', text, 'for instance 80 or 53/udp');
  return {port, protocol: protocol === 'udp' ? 'udp' : 'tcp'};
}

/** A network, or one address, as CIDR. */
export function parseCidr(text: string): string {
  const [, address = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  if (family === 0 || (length !== undefined && Number(length) > longest))
    throw badSetting('amazonec2-allow-cidr', text, 'for instance 203.0.113.7/32');
  return `${address}/${length ?? longest}`;
}

/** `a` is docker-machine's way to write a zone. */
export function zoneName(region: string, zone: string): string {
  if (/^[a-z]$/.test(zone)) return `${region}${zone}`;
  if (zone.startsWith(region) && zone.length > region.length) return zone;
  throw badSetting('amazonec2-zone', zone, `give its letter, or its name (${region}a)`);
}

export function inRange(flag: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw badSetting(flag, String(value), `give a number from ${least} to ${most}`);
}

export function badSetting(flag: string, value: string, remedy: string): MachineError {
  return new MachineError('bad-setting', `--${flag} is "${value}"`, {remedy});
}
