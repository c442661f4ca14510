/** `hawser release refresh`. */
import {flagBoolean, type Command} from '../../../common/command.ts';
import {roles} from '../keys/key.ts';
import {refreshRepository} from '../refresh.ts';
import {keyFlags, lifetimeFlags, openReleases, repositoryFlag} from './options.ts';

const SOON_MS = 45 * 86_400_000;

export const refreshCommand: Command = {
  name: 'release refresh',
  summary: 'sign anew what would expire (the server does this by itself)',
  arguments: {min: 0, max: 0},
  flags: [
    {name: 'force', type: 'boolean', summary: 'also what is not due yet'},
    {name: 'offline', type: 'boolean', summary: 'root and targets too: needs their keys'},
    repositoryFlag,
    ...keyFlags,
    ...lifetimeFlags,
  ],
  run: async (context, {flags}) => {
    const releases = openReleases(context, flags);
    const {signed, expires} = await refreshRepository(releases, {
      force: flagBoolean(flags, 'force'),
      offline: flagBoolean(flags, 'offline'),
    });
    context.print(signed.length === 0 ? 'nothing is due' : `signed ${signed.join(', ')}`);
    for (const role of roles) context.print(`${role.padEnd(9)} until ${expires[role]}`);
    for (const role of ['root', 'targets'] as const) {
      if (new Date(expires[role]).getTime() - releases.now().getTime() > SOON_MS) continue;
      context.warn(
        `${role} expires on ${expires[role]}: run "hawser release refresh --offline" where its keys are`,
      );
    }
    return 0;
  },
};
