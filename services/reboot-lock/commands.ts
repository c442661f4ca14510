/** `hawser lock ls|release`: who holds a slot, and taking one away. */
import {
  UsageError,
  flagString,
  type Command,
  type CommandContext,
  type CommandInput,
} from '../common/command.ts';
import {HeldSlot, LockList} from '../common/contracts/lock.ts';
import {openServerClient} from '../common/server-client.ts';
import {renderLocks} from './render.ts';

export const lockCommands: readonly Command[] = [
  {
    name: 'lock ls',
    summary: 'list who holds the reboot locks, since when, and what stands still',
    arguments: {min: 0, max: 0},
    flags: [{name: 'output', type: 'string', default: 'text', summary: 'text or json'}],
    run: list,
  },
  {
    name: 'lock release',
    summary: 'take a slot away from a machine that will not give it back; needs the role operator',
    usage: 'GROUP MACHINE',
    arguments: {min: 2, max: 2},
    flags: [{name: 'reason', type: 'string', summary: 'why; kept in the audit log'}],
    run: release,
  },
];

async function list(context: CommandContext, {flags}: CommandInput): Promise<number> {
  const output = flagString(flags, 'output') ?? 'text';
  if (output !== 'text' && output !== 'json') {
    throw new UsageError('bad-value', `--output is "${output}"`, {remedy: 'give text or json'});
  }
  const client = await openServerClient(context.env, context.signal);
  const locks = await client.call('GET', '/v1/locks', LockList);
  const lines = output === 'json' ? [JSON.stringify(locks.groups)] : renderLocks(locks);
  for (const line of lines) context.print(line);
  return 0;
}

async function release(context: CommandContext, {args, flags}: CommandInput): Promise<number> {
  const [group = '', machine = ''] = args;
  const reason = flagString(flags, 'reason')?.trim() ?? '';
  if (reason === '') {
    throw new UsageError('missing-argument', 'a slot is taken away for a reason', {
      remedy: 'give --reason "mainboard replaced, reinstalled by hand"',
    });
  }
  const client = await openServerClient(context.env, context.signal);
  const path = `/v1/locks/${encodeURIComponent(group)}/release`;
  const slot = await client.call('POST', path, HeldSlot, {machine, reason});
  context.warn(
    `${slot.name} (${slot.machine}) held slot ${slot.slot} of ${group} since ${slot.since}; it is free`,
  );
  return 0;
}
