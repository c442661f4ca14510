/** After `machine rm`: the update server, where one is named, hears that the machine exists no more. */
import type {CommandContext} from '../common/command.ts';
import {MachineGoneAnswer} from '../common/contracts/lock.ts';
import {describeError} from '../common/errors.ts';
import {openServerClient} from '../common/server-client.ts';

/**
 * The reboot lock of a machine that is gone is freed by the update server, where there is one. A server that is away
 * does not keep a machine from being removed.
 */
export async function tellServer(
  context: Pick<CommandContext, 'env' | 'signal' | 'warn'>,
  machine: {readonly uuid: string; readonly name: string},
): Promise<void> {
  if ((context.env['HAWSER_SERVER'] ?? '') === '') return;
  try {
    const client = await openServerClient(context.env, context.signal);
    await client.call('POST', '/v1/locks/gone', MachineGoneAnswer, {machine: machine.uuid});
  } catch (error) {
    context.warn(
      `hawser: "${machine.name}" is removed, but the update server was not told: ${describeError(error)}; see hawser lock ls for a slot that it held`,
    );
  }
}
