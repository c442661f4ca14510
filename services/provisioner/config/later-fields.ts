/** Fields of specifications newer than the ones we write: the message says so instead of guessing at a typo. */
import {snakeCase} from './naming.ts';

const FROM_3_4 = 'Ignition 3.4, and Hawser machines take up to 3.3';
const LATER = new Map<string, string>([
  ['discard', FROM_3_4],
  ['openOptions', FROM_3_4],
  ['advertisement', FROM_3_4],
  ['contentsLocal', 'Butane flatcar 1.1 and fcos 1.5; put the text into "contents"'],
  ['sshAuthorizedKeysLocal', 'Butane flatcar 1.1 and fcos 1.5; put the keys into "ssh_authorized_keys"'],
  ['grub', 'Butane fcos 1.5, and Hawser has no GRUB: systemd-boot starts a signed image'],
  ['cex', 'Ignition 3.5 for IBM Z'],
]);
const bySnakeCase = new Map([...LATER].map(([name, origin]) => [snakeCase(name), origin]));

/** ` (it belongs to ...)` for a field of a later specification, in either spelling. */
export function laterFieldHint(name: string): string | undefined {
  const origin = LATER.get(name) ?? bySnakeCase.get(name);
  return origin === undefined ? undefined : `: it belongs to ${origin}`;
}
