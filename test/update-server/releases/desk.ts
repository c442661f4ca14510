/** The release commands as an operator types them. */
import type {ExecutionContext} from 'ava';
import {silentProgress} from '../../../services/common/progress.ts';
import {parseArguments} from '../../../services/cli/parse.ts';
import {releaseCommands} from '../../../services/update-server/releases/commands.ts';
import type {BuildPayload, ReleaseImage} from '../../../services/update-server/releases/ports.ts';
import {tempFolder, tinyImage, tinyPayload} from './support.ts';

export interface Run {
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
}

export interface Desk {
  readonly home: string;
  readonly run: (words: string, env?: Record<string, string>) => Promise<Run>;
}

export interface DeskWish {
  /** The image that is published under a version; of a few bytes when absent. */
  readonly image: (home: string, version: string) => Promise<ReleaseImage>;
  readonly buildPayload: BuildPayload;
}

/** An operator at an empty home; images are named by their version. */
export async function desk(
  t: ExecutionContext,
  {image, buildPayload}: DeskWish = {image: tinyImage, buildPayload: tinyPayload},
): Promise<Desk> {
  const home = await tempFolder(t);
  const commands = releaseCommands({
    openImage: (_, named) => image(home, named ?? '1.0.0'),
    buildPayload,
  });
  return {
    home,
    run: async (text, more = {}) => {
      const words = text.split(' ').map(word => word.replaceAll('_', ' '));
      const command = [...commands]
        .sort((a, b) => b.name.length - a.name.length)
        .find(({name}) => text === name || text.startsWith(`${name} `));
      if (command === undefined) throw new Error(`no command ${text}`);
      const env = {HAWSER_HOME: home, ...more};
      const input = parseArguments(command, words.slice(command.name.split(' ').length), env);
      const lines: string[] = [];
      const warnings: string[] = [];
      await command.run(
        {
          progress: silentProgress,
          print: line => void lines.push(line),
          warn: line => void warnings.push(line),
          env,
          cwd: home,
          signal: new AbortController().signal,
          interactive: false,
        },
        input,
      );
      return {lines, warnings};
    },
  };
}
