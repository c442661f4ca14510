/** A place with a stand-in VBoxManage and an image for it. */
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {configureVirtualbox} from '../../../machine-drivers/drivers/virtualbox/settings.ts';
import type {VirtualboxSettings} from '../../../machine-drivers/drivers/virtualbox/settings.ts';
import {freshState} from './vboxmanage.ts';
import type {VboxState} from './vboxmanage.ts';

const standIn = fileURLToPath(new URL('./vboxmanage.ts', import.meta.url));

export interface StandIn {
  readonly program: string;
  readonly image: string;
  settings(flags?: Readonly<Record<string, string | boolean | number>>): Promise<VirtualboxSettings>;
  state(): Promise<VboxState>;
  change(work: (state: VboxState) => void): Promise<void>;
}

export async function standInVirtualBox(home: string): Promise<StandIn> {
  const folder = join(home, 'vbox');
  await mkdir(folder, {recursive: true});
  const stateFile = join(folder, 'state.json');
  await writeFile(stateFile, JSON.stringify(freshState));
  const program = join(folder, 'VBoxManage');
  await writeFile(
    program,
    `#!/bin/sh\nexport NODE_COMPILE_CACHE='${folder}/node'\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${standIn}' '${stateFile}' "$@"\n`,
  );
  await chmod(program, 0o755);
  // The beginning of a GPT disk is enough: nothing boots it.
  const image = join(folder, 'image.raw');
  const disk = Buffer.alloc(1 << 16);
  disk.write('EFI PART', 512, 'latin1');
  await writeFile(image, disk);
  const state = async () => JSON.parse(await readFile(stateFile, 'utf8')) as VboxState;
  return {
    program,
    image,
    state,
    settings: async (flags = {}) =>
      configureVirtualbox(
        new Map(Object.entries({'virtualbox-image': image, 'virtualbox-program': program, ...flags})),
        {cwd: home, paths: {home, cache: join(home, 'cache')}, env: {}},
      ),
    change: async work => {
      const now = await state();
      work(now);
      await writeFile(stateFile, JSON.stringify(now));
    },
  };
}
