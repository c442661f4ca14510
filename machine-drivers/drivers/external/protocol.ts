/**
 * What an external driver is asked and what it answers: JSON-RPC 2.0, one JSON text a line, one request a process.
 * README.md of this folder is the specification for authors.
 */
import {Type, type Static} from 'typebox';

export const PROTOCOL = 1;

const Resources = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]));

export const Step = Type.Object({
  name: Type.String({minLength: 1}),
  title: Type.String(),
  volatile: Type.Optional(Type.Boolean()),
  /** Called as `choose`, under the store's lock, with what the other machines hold. */
  reserves: Type.Optional(Type.Boolean()),
  /** Gets the first-boot configuration. */
  firstBoot: Type.Optional(Type.Boolean()),
});
export type Step = Static<typeof Step>;

export const Description = Type.Object({
  protocol: Type.Literal(PROTOCOL),
  summary: Type.String(),
  flags: Type.Array(
    Type.Object({
      name: Type.String({minLength: 1}),
      type: Type.Union([
        Type.Literal('string'),
        Type.Literal('boolean'),
        Type.Literal('integer'),
        Type.Literal('list'),
      ]),
      summary: Type.String(),
      env: Type.Optional(Type.String()),
      default: Type.Optional(Type.Union([Type.String(), Type.Boolean(), Type.Number()])),
      refused: Type.Optional(Type.String()),
    }),
  ),
});
export type Description = Static<typeof Description>;

/** What is stored of a machine: the plan stays what it was when its creation began. */
export const Settings = Type.Object({
  steps: Type.Array(Step),
  login: Type.Optional(Type.String()),
  /** The driver's own. */
  values: Type.Unknown(),
});
export type Settings = Static<typeof Settings>;

export const Answers = {
  describe: Description,
  configure: Settings,
  preCreateCheck: Type.Unknown(),
  choose: Resources,
  ensure: Resources,
  observe: Type.Record(
    Type.String(),
    Type.Object({
      state: Type.Union([
        Type.Literal('Running'),
        Type.Literal('Paused'),
        Type.Literal('Saved'),
        Type.Literal('Stopped'),
        Type.Literal('Stopping'),
        Type.Literal('Starting'),
        Type.Literal('Error'),
        Type.Literal('None'),
      ]),
      resources: Type.Optional(Resources),
      detail: Type.Optional(Type.String()),
    }),
  ),
  start: Resources,
  stop: Type.Unknown(),
  kill: Type.Unknown(),
  destroy: Type.Unknown(),
} as const;
export type Method = keyof typeof Answers;

export const Message = Type.Union([
  Type.Object({
    jsonrpc: Type.Literal('2.0'),
    method: Type.Literal('report'),
    params: Type.Object({detail: Type.String()}),
  }),
  Type.Object({jsonrpc: Type.Literal('2.0'), id: Type.Literal(1), result: Type.Unknown()}),
  Type.Object({
    jsonrpc: Type.Literal('2.0'),
    id: Type.Union([Type.Literal(1), Type.Null()]),
    error: Type.Object({
      code: Type.Integer(),
      message: Type.String(),
      /** `code`: one of the machine layer's own words. */
      data: Type.Optional(
        Type.Object({code: Type.Optional(Type.String()), remedy: Type.Optional(Type.String())}),
      ),
    }),
  }),
]);
export type Message = Static<typeof Message>;

/** Codes that a driver may give; another one counts as `driver-failed`. */
export const errorCodes = [
  'bad-setting',
  'check-failed',
  'credentials',
  'driver-failed',
  'no-free-port',
  'quota',
  'unreachable',
] as const;
