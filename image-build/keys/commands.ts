/** The commands `hawser keys ...`. */
import {randomUUID, X509Certificate} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {flagBoolean, type Command, type CommandContext} from '../../services/common/command.ts';
import {sha256} from '../../services/common/hash.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import {finishRotation, rotateDb} from './rotation.ts';
import {createKeys, loadKeys, type LoadedKeys} from './store.ts';

const none = {min: 0, max: 0} as const;

export const keysCommands: readonly Command[] = [
  {
    name: 'keys init',
    summary: 'Make the keys that sign boot loader, kernel image and PCR policies (once)',
    arguments: none,
    flags: [],
    run: async context => {
      const folder = keysFolder(context);
      const keys = await createKeys({folder, owner: randomUUID(), now: new Date(), signal: context.signal});
      context.print(keys.created ? `made the keys in ${folder}` : `the keys are in ${folder} already`);
      if (keys.created)
        context.warn('keep a copy of this folder: machines that trust these keys boot nothing else');
      await describe(context, keys);
      return 0;
    },
  },
  {
    name: 'keys show',
    summary: 'Show the fingerprints of the keys',
    arguments: none,
    flags: [],
    run: async context => {
      await describe(context, await loadKeys(keysFolder(context)));
      return 0;
    },
  },
  {
    name: 'keys rotate db',
    summary: 'change the key that signs boot loader and kernel image, in two steps',
    arguments: none,
    flags: [{name: 'finish', type: 'boolean', summary: 'the old key signs no more'}],
    run: async (context, {flags}) => {
      const input = {folder: keysFolder(context), now: new Date(), signal: context.signal};
      const finish = flagBoolean(flags, 'finish');
      const {keys, update} = await (finish ? finishRotation(input) : rotateDb(input));
      await describe(context, keys);
      context.print(`update  ${update}`);
      context.warn(
        finish
          ? 'apply this update of dbx only where both slots hold releases that the new key signed alone'
          : 'images are signed by both keys from now on; apply this update of db on every machine, then run it with --finish',
      );
      return 0;
    },
  },
];

/** `<home>/keys`. */
export function keysFolder(context: Pick<CommandContext, 'env'>): string {
  return join(resolvePaths(context.env).home, 'keys');
}

async function describe(context: CommandContext, {owner, paths}: LoadedKeys): Promise<void> {
  context.print(`owner  ${owner}`);
  for (const name of ['PK', 'KEK', 'db'] as const) {
    const certificate = new X509Certificate(await readFile(paths[name].certificate));
    context.print(
      `${name.padEnd(6)} ${sha256(certificate.raw)}  until ${certificate.validToDate.toISOString().slice(0, 10)}`,
    );
  }
  context.print(`pcr    ${sha256(await readFile(paths.pcr.publicKey))}`);
}
