/** The commands `hawser image ...`. */
import type {Command} from '../services/common/command.ts';
import {buildCommand} from './commands/build.ts';
import {diffCommand} from './commands/diff.ts';
import {inspectCommand} from './commands/inspect.ts';
import {lockCommand} from './commands/lock.ts';
import {lsCommand} from './commands/ls.ts';
import {pruneCommand} from './commands/prune.ts';
import {verifyCommand} from './commands/verify.ts';
import {withBuildRights} from './user-namespace.ts';

export const imageCommands: readonly Command[] = [
  lockCommand,
  withBuildRights(buildCommand),
  lsCommand,
  inspectCommand,
  diffCommand,
  withBuildRights(verifyCommand),
  // what was built in a user namespace belongs to ids that only it can remove
  withBuildRights(pruneCommand),
];
