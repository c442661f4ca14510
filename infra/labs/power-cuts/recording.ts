/** What a recording is, in its folder: the disk before it, the log of its writes, and what is needed to boot copies. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Type, type Static} from 'typebox';
import {writeFileAtomic} from '../../../services/common/fs-atomic.ts';
import {parseJson} from '../../../services/common/parse.ts';

const Text = Type.String();

export const Recording = Type.Object({
  /** In the order in which the machine ran them; `image` is the folder of the image. */
  releases: Type.Array(Type.Object({version: Text, rootHash: Text, image: Text}), {minItems: 2}),
  secure: Type.Boolean(),
  tls: Type.Object({
    server: Type.Object({ca: Text, key: Text, certificate: Text}),
    machine: Type.Object({key: Text, certificate: Text}),
  }),
  /** What had happened when the log had grown to so many bytes, and which release was wanted then. */
  milestones: Type.Array(Type.Object({what: Text, wanted: Text, logBytes: Type.Integer()})),
});
export type Recording = Static<typeof Recording>;

export function filesOf(folder: string) {
  return {
    recording: join(folder, 'recording.json'),
    /** The whole disk when the log begins; never written to again. */
    base: join(folder, 'base.raw'),
    log: join(folder, 'writes.log'),
    /** The firmware's variables when the log begins. */
    vars: join(folder, 'vars.fd'),
    sshKey: join(folder, 'id'),
    repository: join(folder, 'repository'),
  };
}

export async function loadRecording(folder: string): Promise<Recording> {
  const {recording} = filesOf(folder);
  return parseJson(Recording, await readFile(recording, 'utf8'), recording);
}

export async function saveRecording(folder: string, recording: Recording): Promise<void> {
  await writeFileAtomic(filesOf(folder).recording, `${JSON.stringify(recording, undefined, 2)}\n`, 0o600);
}
