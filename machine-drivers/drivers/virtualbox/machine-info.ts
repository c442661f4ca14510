/** What `showvminfo --machinereadable` and `list` print, read: pure. */
import type {MachineState} from '../../driver.ts';

export type MachineInfo = ReadonlyMap<string, string>;

/** `KEY="value"` and `KEY=value`; keys with spaces are quoted themselves. */
export function parseMachineInfo(text: string): MachineInfo {
  const values = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const [, quoted, plain, value = ''] = /^(?:"([^"]+)"|([^=]+))=(.*)$/.exec(line) ?? [];
    const key = quoted ?? plain;
    if (key !== undefined) values.set(key, value.replace(/^"(.*)"$/s, '$1'));
  }
  return values;
}

const states: Readonly<Record<string, MachineState>> = {
  running: 'Running',
  paused: 'Paused',
  saved: 'Saved',
  poweroff: 'Stopped',
  aborted: 'Stopped',
  'aborted-saved': 'Saved',
  starting: 'Starting',
  restoring: 'Starting',
  stopping: 'Stopping',
  saving: 'Stopping',
  gurumeditation: 'Error',
  stuck: 'Error',
};

export function stateOf(info: MachineInfo): MachineState {
  return states[info.get('VMState')?.toLowerCase() ?? ''] ?? 'Error';
}

/** Names of the NAT rules of the first card: `Forwarding(0)="ssh,tcp,127.0.0.1,20200,,22"`. */
export function natRules(info: MachineInfo): readonly string[] {
  return [...info]
    .filter(([key]) => /^Forwarding\(\d+\)$/.test(key))
    .map(([, value]) => value.split(',')[0] ?? '');
}

/** `"name" {uuid}`, a line each. */
export function parseMachineList(
  text: string,
): ReadonlyArray<{readonly name: string; readonly uuid: string}> {
  return text.split(/\r?\n/).flatMap(line => {
    const [, name, uuid] = /^"(.*)" \{([0-9a-f-]{36})\}$/.exec(line) ?? [];
    return name === undefined || uuid === undefined ? [] : [{name, uuid}];
  });
}

export interface HostOnlyAdapter {
  readonly name: string;
  readonly address: string;
  readonly netmask: string;
}

/** `list hostonlyifs`: blocks of `Key: value`, with empty lines between. */
export function parseHostOnlyAdapters(text: string): readonly HostOnlyAdapter[] {
  return text
    .split(/\r?\n\r?\n/)
    .map(
      block =>
        new Map(
          block.split(/\r?\n/).flatMap(line => {
            const [, key, value] = /^(\w+):\s*(.*)$/.exec(line) ?? [];
            return key === undefined || value === undefined ? [] : [[key, value] as const];
          }),
        ),
    )
    .filter(block => block.has('Name'))
    .map(block => ({
      name: block.get('Name') ?? '',
      address: block.get('IPAddress') ?? '',
      netmask: block.get('NetworkMask') ?? '',
    }));
}
