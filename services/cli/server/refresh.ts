/** Keeps the repository's online signatures fresh while the server runs. */
import {access} from 'node:fs/promises';
import type {CommandContext} from '../../common/command.ts';
import {repositoryFoldersOf} from '../../update-server/releases/adapters/repository-folder.ts';
import {openReleases} from '../../update-server/releases/commands/options.ts';
import {refreshRepository} from '../../update-server/releases/refresh.ts';

/** The roles that were signed anew; none where this host has no online keys: then whoever has them signs. */
export async function refreshSignatures(
  context: CommandContext,
  repository: string,
): Promise<readonly string[]> {
  try {
    await access(repositoryFoldersOf(repository).secret);
  } catch {
    return [];
  }
  const releases = openReleases(context, new Map([['repository', repository]]));
  return (await refreshRepository(releases)).signed;
}
