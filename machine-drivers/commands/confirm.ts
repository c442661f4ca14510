/** A question before what cannot be undone. */
import {createInterface} from 'node:readline/promises';
import {stderr, stdin} from 'node:process';
import type {CommandContext} from '../../services/common/command.ts';
import {MachineError} from '../errors.ts';

/** True for yes. Throws `bad-setting` with `remedy` when nobody is there to answer. */
export async function confirm(context: CommandContext, question: string, remedy: string): Promise<boolean> {
  if (!context.interactive) {
    throw new MachineError('bad-setting', 'this command asks first, and nobody is there to answer', {remedy});
  }
  using terminal = createInterface({input: stdin, output: stderr});
  return /^y(es)?$/i.test((await terminal.question(question, {signal: context.signal})).trim());
}
