/** What both drivers share: a call by its name, its body checked first. */
import type {Static, TSchema} from 'typebox';
import {parseValue} from '../../common/parse.ts';
import type {OverlayAgent} from '../agent.ts';
import type {Memory} from '../memory.ts';
import type {AgentLog, ServerPort} from '../ports.ts';

export interface PluginDeps {
  readonly agent: OverlayAgent;
  readonly memory: Memory;
  readonly server: ServerPort;
  readonly log: AgentLog;
  /** Networks that the agent itself is making or removing in Docker just now, by our id. */
  readonly mirroring: ReadonlySet<string>;
}

export type Call = (body: unknown) => Promise<object>;

/** A call whose body is checked first. Throws ParseError. */
export function checked<Schema extends TSchema>(
  schema: Schema,
  work: (body: Static<Schema>) => Promise<object> | object,
): Call {
  return async body => work(parseValue(schema, body, "Docker's request"));
}
