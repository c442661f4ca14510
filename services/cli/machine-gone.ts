/** After `machine rm`: the update server, where one is named, hears that the machine exists no more. */
import type {CommandContext} from '../common/command.ts';
import {MachineGoneAnswer} from '../common/contracts/lock.ts';
import {describeError} from '../common/errors.ts';
import {findServerClient, ServerClientError} from '../common/server-client.ts';
import {Type} from 'typebox';

/**
 * The reboot lock of a machine that is gone, and its addresses, are freed by the update server, where there is one. A server that is away
 * does not keep a machine from being removed.
 */
export async function tellServer(
  context: Pick<CommandContext, 'env' | 'signal' | 'warn'>,
  machine: {readonly uuid: string; readonly name: string},
): Promise<void> {
  try {
    const client = await findServerClient(context.env, context.signal);
    if (client === undefined) return;
    await client.call('POST', '/v1/locks/gone', MachineGoneAnswer, {machine: machine.uuid});
    await unlessUnknown(client.call('POST', '/v1/overlay/gone', Type.Unknown(), {machine: machine.uuid}));
    // Its certificate is refused from then on, and no wave waits for it.
    await unlessUnknown(client.call('DELETE', `/v1/machines/${machine.uuid}`, Type.Unknown()));
  } catch (error) {
    context.warn(
      `hawser: "${machine.name}" is removed, but the update server was not told: ${describeError(error)}; see hawser lock ls for a slot that it held`,
    );
  }
}

/** A machine that never reported itself, and a server that knows nothing of the matter, have nothing to forget. */
async function unlessUnknown(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ServerClientError) || error.context['status'] !== 404) throw error;
  }
}
