/** `machine mount`: a folder of a machine on this host, by sshfs. */
import {join, resolve} from 'node:path';
import {UsageError, flagBoolean} from '../../services/common/command.ts';
import type {Command, CommandContext} from '../../services/common/command.ts';
import {writeFileAtomic} from '../../services/common/fs-atomic.ts';
import {exec} from '../../services/common/exec.ts';
import {parseCopyPlace} from '../ssh/copy-place.ts';
import {sshConfigBlock} from '../ssh/connection.ts';
import {openDeps} from './run.ts';
import type {Tools} from './run.ts';
import {targetOf} from './shell.ts';

const MOUNT_TIMEOUT_MS = 120_000;

export function mountCommand(tools: Tools): Command {
  return {
    name: 'machine mount',
    summary: 'mount a folder of a machine here, or take the mount away',
    usage: '[USER@]NAME:PATH [MOUNTPOINT]',
    arguments: {min: 1, max: 2},
    flags: [{name: 'unmount', short: 'u', type: 'boolean', summary: 'take the mount away'}],
    run: async (context, input) => {
      const [given = '', at] = input.args;
      const place = parseCopyPlace(given);
      if (place.machine === undefined) {
        throw new UsageError('bad-value', `"${given}" names no machine`, {
          remedy: 'give for instance web:/srv',
        });
      }
      const path = place.argument.slice(place.argument.indexOf(':') + 1);
      // docker-machine: without a mount point, the same path here.
      const mountPoint = resolve(context.cwd, at ?? path);
      if (flagBoolean(input.flags, 'unmount')) return run(context, unmountCommand(mountPoint));
      const deps = await openDeps(tools, context);
      const target = await targetOf(deps, place.machine);
      // Kept beside the key: sshfs reads it again whenever it connects anew.
      const config = join(target.folder, 'ssh_config');
      await writeFileAtomic(config, sshConfigBlock(place.machine, target));
      return run(context, ['sshfs', '-F', config, '-o', 'reconnect', place.argument, mountPoint]);
    },
  };
}

function unmountCommand(mountPoint: string): string[] {
  return process.platform === 'darwin' ? ['umount', mountPoint] : ['fusermount', '-u', mountPoint];
}

async function run(context: CommandContext, argv: readonly string[]): Promise<number> {
  await exec(argv, {timeoutMs: MOUNT_TIMEOUT_MS, signal: context.signal});
  return 0;
}
