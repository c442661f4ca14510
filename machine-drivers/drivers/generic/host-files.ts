/** The files of a first-boot configuration, for a host that has had its first boot. Pure. */
import {Type} from 'typebox';
import {parseJson} from '../../../services/common/parse.ts';
import {MachineError} from '../../errors.ts';

export interface HostFile {
  readonly path: string;
  readonly mode: number;
  readonly contents: string;
}

const Ignition = Type.Object({
  storage: Type.Optional(
    Type.Object({
      files: Type.Optional(
        Type.Array(
          Type.Object({
            path: Type.String(),
            mode: Type.Optional(Type.Integer()),
            contents: Type.Optional(Type.Object({source: Type.Optional(Type.String())})),
          }),
        ),
      ),
    }),
  ),
});

/** Throws `driver-failed` for a file that does not carry its contents with it. */
export function filesOfIgnition(text: string): readonly HostFile[] {
  const config = parseJson(Ignition, text, 'the first-boot configuration');
  return (config.storage?.files ?? []).map(({path, mode, contents}) => ({
    path,
    mode: mode ?? 0o644,
    contents: decode(path, contents?.source ?? 'data:,'),
  }));
}

/** RFC 2397. */
function decode(path: string, source: string): string {
  const [, base64, data] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(source) ?? [];
  if (data === undefined) throw new MachineError('driver-failed', `the contents of ${path} are elsewhere`);
  return base64 === undefined ? decodeURIComponent(data) : Buffer.from(data, 'base64').toString('utf8');
}
