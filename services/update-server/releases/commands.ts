/** The commands `hawser release ...`. */
import type {Command} from '../../common/command.ts';
import {initCommand, listKeysCommand, rotateCommand} from './commands/keys.ts';
import {listCommand} from './commands/list.ts';
import {mirrorCommand, verifyCommand} from './commands/mirror.ts';
import {promoteCommand} from './commands/promote.ts';
import {publishCommand, withdrawCommand, type PublishDeps} from './commands/publish.ts';
import {refreshCommand} from './commands/refresh.ts';

export function releaseCommands(deps: PublishDeps): readonly Command[] {
  return [
    publishCommand(deps),
    listCommand,
    promoteCommand,
    withdrawCommand,
    refreshCommand,
    mirrorCommand,
    verifyCommand,
    initCommand,
    rotateCommand,
    listKeysCommand,
  ];
}
