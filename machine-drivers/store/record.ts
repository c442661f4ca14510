/** `machine.json`: what a machine is. Written at the beginning of its creation, and when it gets new certificates. */
import {Type, type Static} from 'typebox';
import {parseJson} from '../../services/common/parse.ts';
import {MachineError} from '../errors.ts';

export const RECORD_SCHEMA = 1;

const UUID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

export function isUuid(text: string): boolean {
  return new RegExp(UUID).test(text);
}

export const MachineRecord = Type.Object({
  schema: Type.Literal(RECORD_SCHEMA),
  uuid: Type.String({pattern: UUID}),
  name: Type.String({minLength: 1, maxLength: 63}),
  /** Raised when a machine is made anew under its name and UUID; enters every derived token. */
  generation: Type.Integer({minimum: 1}),
  driver: Type.String({minLength: 1}),
  /** The login on the machine. */
  user: Type.String({minLength: 1}),
  /** ISO 8601. */
  created: Type.String(),
  /** The operator's own first-boot configuration, absolute. */
  config: Type.Optional(Type.String()),
  /** Further files of its first boot, as they were when its creation began. */
  files: Type.Optional(
    Type.Array(Type.Object({path: Type.String(), mode: Type.Integer(), contents: Type.String()})),
  ),
  /** By which `ls` and the update server's groups select machines. */
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Further names and addresses for its certificate (--tls-san). */
  certificateNames: Type.Optional(Type.Array(Type.String())),
  /** Checked by the driver. */
  settings: Type.Unknown(),
});
export type MachineRecord = Static<typeof MachineRecord>;

const Versioned = Type.Object({schema: Type.Integer()});

/** Reads a record. Throws `store-newer` or `store-damaged`, naming the file. */
export function parseRecord(text: string, path: string): MachineRecord {
  try {
    const {schema} = parseJson(Versioned, text, path);
    if (schema > RECORD_SCHEMA) {
      throw new MachineError('store-newer', `${path} was written by a newer Hawser (schema ${schema})`, {
        remedy: 'update this Hawser, then try again',
      });
    }
    return parseJson(MachineRecord, text, path);
  } catch (error) {
    if (error instanceof MachineError) throw error;
    throw damaged(path, error);
  }
}

/** The error for a store file that cannot be understood. */
export function damaged(path: string, cause: unknown): MachineError {
  const why = cause instanceof Error ? cause.message.replace(`${path} `, '') : String(cause);
  return new MachineError('store-damaged', `${path} ${why}`, {
    remedy: 'restore it from a backup, or remove the machine with hawser machine rm -f',
    cause,
  });
}
