/** The files by which a new machine knows its update server, and whom it trusts. */
import {readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {FirstBootFile, UpdateWish} from '../../machine-drivers/ports.ts';
import {AgentConfig, agentFiles} from '../common/contracts/agent.ts';
import {publisherFiles, repositoryFolders} from '../common/contracts/release.ts';
import {serverStableName} from '../common/contracts/server.ts';
import {systemErrorCode} from '../common/errors.ts';
import {parseValue} from '../common/parse.ts';
import {CliError} from './errors.ts';

/** Throws `bad-config` when there is no TUF root yet, or the labels cannot be labels. */
export async function updateFiles(wish: UpdateWish, home: string): Promise<readonly FirstBootFile[]> {
  const config = parseValue(
    AgentConfig,
    {server: wish.server, serverName: serverStableName, labels: {...wish.labels}},
    'what was said about updates',
  );
  const root = wish.root === undefined ? await ownRoot(home) : await readFile(wish.root, 'utf8');
  return [
    {path: agentFiles.config, mode: 0o644, contents: `${JSON.stringify(config, undefined, 2)}\n`},
    {path: agentFiles.trustedRoot, mode: 0o644, contents: root},
  ];
}

/**
 * The root that the publisher keeps beside the keys: it was made here, or proven when it was rotated. Where there are no
 * keys (a server that only serves), the newest of the own repository.
 */
async function ownRoot(home: string): Promise<string> {
  const kept = join(home, ...publisherFiles.trustedRoot);
  try {
    return await readFile(kept, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  const folder = join(home, 'repository', repositoryFolders.metadata);
  const versions = (await readdir(folder).catch(() => []))
    .flatMap(name => /^(\d{1,9})\.root\.json$/.exec(name)?.[1] ?? [])
    .map(Number);
  if (versions.length > 0) return readFile(join(folder, `${Math.max(...versions)}.root.json`), 'utf8');
  throw new CliError('bad-config', `there is no TUF root in ${kept} or ${folder}`, {
    remedy: 'make the repository with hawser release keys init, or give --update-root FILE',
  });
}
